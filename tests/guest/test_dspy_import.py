"""What `import dspy` does where DSPy is not, or not as it is known: in a Python without any library."""

import subprocess
import sys

from rlm_jupyter.kernels.launch.guest_bundle import loading_code

HOOK = "import sys; from _rlm.guest.dspy_lm.import_hook import DspyImport; sys.meta_path.insert(0, DspyImport(None))"


def imported(place, code):
    """Run code in a fresh interpreter that has nothing but the hook and what is in a folder."""
    program = f"{loading_code()}\n{HOOK}\nsys.path.append({str(place)!r})\n{code}"
    command = [sys.executable, "-I", "-S", "-"]
    return subprocess.run(command, input=program, capture_output=True, text=True, timeout=120, check=False)


def test_where_dspy_is_not_installed_its_import_fails_as_ever(tmp_path):
    ran = imported(tmp_path, "import dspy")
    assert ran.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'dspy'"


def test_a_folder_that_is_called_dspy_is_imported_as_ever(tmp_path):
    (tmp_path / "dspy").mkdir()
    ran = imported(tmp_path, "import dspy; print(list(dspy.__path__))")
    assert (ran.stdout.strip(), ran.stderr) == (str([str(tmp_path / "dspy")]), "")


def test_a_dspy_that_is_too_old_to_take_a_model_is_imported_and_it_is_told(tmp_path):
    (tmp_path / "dspy.py").write_text("__version__ = '3.3.0'\nclass LM:\n    def __init__(self, model): pass")
    ran = imported(tmp_path, "import dspy; print(dspy.LM.__name__)")
    told = "DSPy 3.3.0 cannot be given a model of this run: 3.4 is the first that can. `llm_query(prompt, schema=...)` asks one."
    assert (ran.stdout, ran.stderr.strip()) == ("LM\n", told)


def test_a_dspy_that_differs_from_what_is_known_is_imported_and_it_is_told(tmp_path):
    (tmp_path / "dspy.py").write_text("class LM:\n    def __init__(self, model, engine): pass")
    ran = imported(tmp_path, "import dspy; print(dspy.LM.__name__)")
    assert ran.stdout == "LM\n"
    assert ran.stderr.startswith("DSPy could not be given a model of this run (AttributeError: ")


def test_two_hooks_of_one_process_do_not_call_each_other(tmp_path):
    (tmp_path / "dspy.py").write_text("name = 'found'")
    ran = imported(tmp_path, "sys.meta_path.insert(0, DspyImport(None))\nimport dspy; print(dspy.name)")
    assert ran.stdout == "found\n"
