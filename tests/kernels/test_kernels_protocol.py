"""A forked kernel speaks Jupyter's protocol: the suite that kernels' authors use, through jupyter_client alone."""

import json
import os
import sys
from unittest.mock import patch

import jupyter_kernel_test
import pytest

from rlm_jupyter.kernels.launch import fork_provisioner

SPEC = {
    "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "display_name": "Forked",
    "language": "python",
    "metadata": {"kernel_provisioner": {"provisioner_name": "rlm-fork"}},
}


@pytest.fixture(scope="module", autouse=True)
def kernelspec(tmp_path_factory):
    """Install the kernelspec `forked`, whose kernels come from the supervisor."""
    folder = tmp_path_factory.mktemp("jupyter")
    room = folder / "kernels" / "forked"
    room.mkdir(parents=True)
    (room / "kernel.json").write_text(json.dumps({**SPEC, "env": {"IPYTHONDIR": str(folder / "ipython")}}))
    with patch.dict(os.environ, {"JUPYTER_PATH": str(folder)}):
        yield
    if fork_provisioner._shared is not None:
        fork_provisioner._shared.close()


class TestForkedKernel(jupyter_kernel_test.KernelTests):
    kernel_name = "forked"
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples = ({"text": "zi", "matches": {"zip"}},)
    complete_code_samples = ("1", "print('hello, world')", "def f(x):\n  return x*2\n\n\n")
    incomplete_code_samples = ("print('''hello", "def f(x):\n  x*2")
    invalid_code_samples = ("import = 7q",)
    code_page_something = "zip?"
    code_generate_error = "raise"
    code_execute_result = (
        {"code": "1+2+3", "result": "6"},
        {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"},
    )
    code_display_data = (
        {
            "code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))",
            "mime": "text/html",
        },
    )
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"

    def history_helper(self, execute_first, **asked):
        reply = super().history_helper(execute_first, **asked)
        if asked["hist_access_type"] == "range":  # IPython calls the session that runs 0 there, in any kernel
            history = reply["content"]["history"]
            history[:] = [(asked["session"] if line[0] == 0 else line[0], *line[1:]) for line in history]
        return reply

    def test_it_is_a_fork_of_the_supervisor(self):
        assert self.km.provisioner.supervisor is fork_provisioner.shared_supervisor()
        assert not self.km.provisioner.execute


class TestWelcomeOfForkedKernel(jupyter_kernel_test.IopubWelcomeTests):
    kernel_name = "forked"
    support_iopub_welcome = True
