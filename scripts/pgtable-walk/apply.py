#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# Turn a kernel tree into one with pgtable-walk, or back: see --help.  Old versions of
# Python must be able to read this file, so that it can refuse them.
import sys

if sys.version_info < (3, 8):
    sys.exit("apply.py: needs Python 3.8 or newer, not %d.%d; nothing was changed"
             % tuple(sys.version_info[:2]))
sys.dont_write_bytecode = True

from converter.main import main  # noqa: E402  pylint: disable=wrong-import-position

main()
