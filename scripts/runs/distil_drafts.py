"""Make the draft table of a trained model from the files that it was trained on, never from held-out ones.

It does what ``nexus model draft-table`` does, over the training half of ``scripts/runs/train_model.py``'s corpus. The
table goes into the checkpoint's folder, so that importing and publishing take it along. The same file comes out only on
the Python version whose standard library the model was trained on.

    python -m scripts.runs.distil_drafts nexus_chain/models/python-stdlib
"""

from __future__ import annotations

import argparse
import json
import sys
import sysconfig
from pathlib import Path

import torch

from nexus_chain.drafting.table_making import ANSWER_TOKENS, distil
from nexus_chain.engine.engine import Engine
from nexus_chain.errors import NexusError
from nexus_chain.program.file_names import DRAFTS_FILE
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.workflows.importing import convert
from nexus_chain.workflows.tables import keep_draft_table
from scripts.runs.train_model import corpus


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="Folder of the checkpoint.")
    parser.add_argument("--tokens", type=int, default=ANSWER_TOKENS)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    files, target = ModelFiles(arguments.folder), arguments.folder / DRAFTS_FILE
    try:
        model = convert(arguments.folder).model
        texts = [files.codec.encode(text) for _, text in corpus(Path(sysconfig.get_path("stdlib")), held_out=False)]
        table, answered = distil(Engine(model.program, model.weights), texts, arguments.tokens)
        keep_draft_table(table, target, files.tokenizer_hash)
    except NexusError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({"file": str(target), "entries": len(table), "bytes": target.stat().st_size, "tokens": answered}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
