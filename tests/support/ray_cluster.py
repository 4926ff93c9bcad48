"""A Ray cluster of two machines, both this one: `python -m tests.support.ray_cluster`.

It prints its address and the process id of the second machine's raylet, and ends with its stdin.
"""

import sys

from ray.cluster_utils import Cluster


def main() -> None:
    """Keep the cluster up."""
    own = dict(num_cpus=1, object_store_memory=100_000_000)
    cluster = Cluster(initialize_head=True, head_node_args={**own, "include_dashboard": False})
    try:
        second = cluster.add_node(**own)
        cluster.wait_for_nodes()
        (raylet,) = second.all_processes["raylet"]
        print(f"\ncluster {cluster.address} {raylet.process.pid}", flush=True)
        sys.stdin.read()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
