import pytest

from rgacli.errors import UsageError
from rgacli.inference.onnx_format import import_onnx


def test_a_package_that_is_missing_is_named():
    with pytest.raises(UsageError, match=r"need the package onnx_of_nobody: pip install onnx_of_nobody\."):
        import_onnx("onnx_of_nobody")
