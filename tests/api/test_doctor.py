import builtins

from rgacli.api.doctor import doctor


def test_versions_and_that_a_training_step_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctor()
    assert found.works
    assert {"rgacli", "python", "torch", "mmdet", "CUDA", "mmcv native ops", "embedded dataset"} <= set(found.facts)
    assert found.facts["tiny training step"].startswith("works (loss ")
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_fails_is_told_with_all_else_that_is_known(monkeypatch):
    def fail(_):
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr("rgacli.modeling.build.try_detector", fail)
    found = doctor()
    assert not found.works
    assert found.facts["tiny training step"] == "FAILED: RuntimeError: no kernel image is available"
    assert {"CUDA", "mmcv native ops"} <= set(found.facts)


def test_an_installation_without_torch_is_reported(monkeypatch):
    load = builtins.__import__

    def broken(name, *arguments, **options):
        if name == "torch":
            raise ImportError("libcudart.so.13: cannot open shared object file")
        return load(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", broken)
    found = doctor()
    assert not found.works
    assert "libcudart.so.13" in found.facts["tiny training step"]
    assert "rgacli" in found.facts
