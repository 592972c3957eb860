"""How an import's choices are made: balancing channels, ordering rows, the least that meets the gate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from nexus_chain.errors import NexusError
from nexus_chain.program import PRESETS, ActivationBits, IntegerModel, ModelShape, Recipe, import_checkpoint, random_model
from nexus_chain.quality import Comparison, QualityGateError, require_within, selection
from nexus_chain.quality.balance import balance, smoothing
from nexus_chain.quality.calibration import CalibrationError, calibration_windows
from nexus_chain.quality.errors import FloatModelError
from nexus_chain.quality.float_model import FloatModel
from nexus_chain.quality.rounding import RoundingError, rounding_order
