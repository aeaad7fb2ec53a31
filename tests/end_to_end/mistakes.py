"""Many command lines of ``train.py``, each in a process that has imported it already.

Reads a list of them as JSON, and prints for each its output, its errors and exit code.
"""

import json
import os
import sys
import tempfile
import traceback

import train


def answer(arguments):
    """Run the program in a fork of this process."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if not child:
            run(arguments, out, err)
        _, status = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        return out.read(), err.read(), os.waitstatus_to_exitcode(status)


def run(arguments, out, err):
    """In the fork; does not come back."""
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    sys.argv = ["train.py", *arguments]  # the config's flags are read from there
    try:
        code = train.main(sys.argv)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    print(json.dumps([answer(arguments) for arguments in json.load(sys.stdin)]))
