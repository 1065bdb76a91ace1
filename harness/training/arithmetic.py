"""What selects the arithmetic of a device beside the device itself: variables that libraries read, and which they are.

On one processor the same run comes to other bits under MKL_CBWR=COMPATIBLE or ONEDNN_MAX_CPU_ISA=SSE41, and on one
card under NVIDIA_TF32_OVERRIDE=1. So whatever compares devices compares these too. How many threads there are is not
among them: on a processor a cohort is calculated by one.
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
"""Variables that choose how a processor calculates; weights are drawn on one, so that they count for cards too."""
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
"""Variables that choose how a card calculates."""
FAMILIES = ("CUBLAS", "CUDNN_", "DNNL_", "MKL_", "ONEDNN_", "PYTORCH_TUNABLEOP_", "TORCHINDUCTOR_", "TRITON_")
"""Beginnings of the names of variables that such libraries read: a new release may read more than is listed here."""
ELSEWHERE = ("_DIR", "_HOME", "_NUM_THREADS", "_PATH", "_VERBOSE", "_DEBUG", "LOG", "_FILE", "_FILENAME", "_DUMP")
"""Ends of those among them that choose where something is kept or told, or how many threads there are."""
LIBRARIES = "PyTorch's libraries"
LONGEST = 200  # characters of a value: all that mean anything are shorter


def arithmetic(device: torch.device) -> dict[str, str]:
    """Return what selects the arithmetic on a device: variables that are set, and the libraries that PyTorch calls."""
    alike = (name for name in os.environ if name.startswith(FAMILIES) and not name.endswith(ELSEWHERE))
    names = sorted({*PROCESSOR, *(CARD if device.type == "cuda" else ()), *alike})
    chosen = {name: _plain(value) for name in names if (value := os.environ.get(name))}
    return {LIBRARIES: ", ".join(_libraries(device)), **chosen}


def _libraries(device: torch.device) -> list[str]:
    found = []
    if device.type == "cuda":
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]  # PyTorch gives it no types
        found += [f"CUDA {torch.version.cuda}", f"cuDNN {cudnn}"]
    if torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        found.append("MKL")
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        found.append("oneDNN")
    return found or ["none"]


def _plain(value: str) -> str:
    """Return a value as text that every reader of an event can show; what a shell set need not be UTF-8."""
    return value[:LONGEST].encode("ascii", "backslashreplace").decode()
