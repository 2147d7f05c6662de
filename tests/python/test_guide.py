"""The pages of docs/guide: what they show runs, and prints what they say."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import guide  # noqa: E402  (beside this file)

TORCH = {"pytorch"}  # runs with PyTorch (`./dev test torch`)


@unittest.skipUnless((guide.ROOT / "build/release/bin/repose").exists(), "repose is not built")
class GuideTest(unittest.TestCase):
    def test_pages(self):
        for path in sorted(guide.GUIDE.glob("*.md")):
            if path.stem in TORCH:
                continue
            with self.subTest(path.stem):
                ran, wrong = guide.run_page(path)
                self.assertGreater(ran, 0)
                self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
