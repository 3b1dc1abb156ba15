#!/usr/bin/env bash
# Installs the peers (into target/bench-peers, and Tesseract from Debian) and runs scan_peers.py.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --locked --quiet
venv=target/bench-peers
if [ ! -x "$venv/bin/python" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet rapidocr==3.10.0 onnxruntime
fi
if ! tesseract --list-langs 2>/dev/null | grep -q '^kor$'; then
  apt-get update -qq && apt-get install -y -qq tesseract-ocr tesseract-ocr-kor tesseract-ocr-eng libgl1 libglib2.0-0
fi
exec "$venv/bin/python" bench/scan_peers.py "$@"
