import subprocess
import sys


def test_a_broken_installation_is_not_taken_for_failed_images():
    code = "import sys; sys.argv = ['beam-gradcam', 'run']; sys.modules['pipeline.launch.run'] = None\n"
    code += "import pipeline.cli; pipeline.cli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 70
    assert "import of pipeline.launch.run halted" in done.stderr
