import sys
from pathlib import Path

import hypothesis

sys.path.insert(0, str(Path(__file__).parent))  # fakes.py, for the tests of both sides

hypothesis.settings.register_profile("any machine", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("any machine")
