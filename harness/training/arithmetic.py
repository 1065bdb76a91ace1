"""The environment variables and libraries that, beside the device itself, determine its floating-point results.

The same run gives different bits on one processor under MKL_CBWR=COMPATIBLE or ONEDNN_MAX_CPU_ISA=SSE41, and on one
card under NVIDIA_TF32_OVERRIDE=1. Whatever compares devices therefore compares these too. The number of threads is not
among them, because a cohort on a processor is computed by a single thread.
"""

from __future__ import annotations

import os

import torch

PROCESSOR = (
    "ATEN_CPU_CAPABILITY",
    "DNNL_CPU_ISA_HINTS",
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "GLIBC_TUNABLES",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "ONEDNN_CPU_ISA_HINTS",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
)
"""Variables that change how a processor calculates. They count for cards too, because weights are drawn on the CPU."""
CARD = (
    "CUBLASLT_WORKSPACE_SIZE",
    "CUBLAS_EMULATE_DOUBLE_PRECISION",
    "CUBLAS_EMULATE_SINGLE_PRECISION",
    "CUBLAS_EMULATION_STRATEGY",
    "CUBLAS_FIXEDPOINT_EMULATION_MANTISSA_BIT_COUNT",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_DISABLE_PTX_JIT",
    "CUDA_FORCE_PTX_JIT",
    "DISABLE_LLVM_OPT",
    "DISABLE_PTXAS_OPT",
    "NVIDIA_TF32_OVERRIDE",
    "TORCHDYNAMO_DISABLE",
    "TORCHINDUCTOR_COORDINATE_DESCENT_TUNING",
    "TORCHINDUCTOR_EMULATE_PRECISION_CASTS",
    "TORCHINDUCTOR_MAX_AUTOTUNE",
    "TORCHINDUCTOR_MAX_AUTOTUNE_GEMM",
    "TORCHINDUCTOR_USE_FAST_MATH",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_BLAS_PREFER_CUBLASLT",
    "TORCH_BLAS_PREFER_HIPBLASLT",
    "TORCH_COMPILE_DISABLE",
    "TRITON_DEFAULT_FP_FUSION",
    "TRITON_F32_DEFAULT",
    "TRITON_INTERPRET",
)
"""Variables that change how a card calculates."""
PREFIXES = ("CUBLAS", "CUDNN_", "DNNL_", "MKL_", "ONEDNN_", "PYTORCH_TUNABLEOP_", "TORCHINDUCTOR_", "TRITON_")
"""Prefixes of the variables that these libraries read; a new release may read more of them than are listed here."""
IGNORED_SUFFIXES = (
    "_DIR",
    "_HOME",
    "_NUM_THREADS",
    "_PATH",
    "_VERBOSE",
    "_DEBUG",
    "LOG",
    "_FILE",
    "_FILENAME",
    "_DUMP",
)
"""Suffixes of variables that only set a location, the verbosity or the number of threads."""
LIBRARIES = "PyTorch's libraries"
MAX_VALUE_LENGTH = 200  # characters; every meaningful value is shorter


def describe_arithmetic(device: torch.device) -> dict[str, str]:
    """Return the variables that are set and the libraries that PyTorch calls, which determine a device's arithmetic."""
    prefixed = (name for name in os.environ if name.startswith(PREFIXES) and not name.endswith(IGNORED_SUFFIXES))
    names = sorted({*PROCESSOR, *(CARD if device.type == "cuda" else ()), *prefixed})
    chosen = {name: _make_printable(value) for name in names if (value := os.environ.get(name))}
    return {LIBRARIES: ", ".join(_list_libraries(device)), **chosen}


def _list_libraries(device: torch.device) -> list[str]:
    found = []
    if device.type == "cuda":
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]  # PyTorch gives it no types
        found += [f"CUDA {torch.version.cuda}", f"cuDNN {cudnn}"]
    if torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        found.append("MKL")
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        found.append("oneDNN")
    return found or ["none"]


def _make_printable(value: str) -> str:
    """Return a value as ASCII text that every reader of an event can show; a shell may set bytes that are not UTF-8."""
    return value[:MAX_VALUE_LENGTH].encode("ascii", "backslashreplace").decode()
