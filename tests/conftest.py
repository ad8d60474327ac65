import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # fakes.py, for the tests of both sides
