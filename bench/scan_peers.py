#!/usr/bin/env python3
"""Times `idgate scan` beside RapidOCR and Tesseract on the same pictures, in one run, on one core and on two.

    bench/scan_peers.sh [PICTURE...]        (default: the shipped synthetic cards)

Each engine is warm: its models are loaded before the clock starts. The peers only find and read text; idgate also decodes,
orients, parses and validates, and reads again what has no witness. Printed are medians over pictures and rounds, and
ratios to idgate; on a shared machine only the ratios mean something, and those only within one run.
"""

import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROUNDS = int(os.environ.get("ROUNDS", "3"))


def idgate(pictures):
    out = subprocess.run(
        [os.path.join(ROOT, "target/release/idgate"), "scan", "--json", *pictures],
        check=True, stdout=subprocess.PIPE, text=True,
    ).stdout
    return [json.loads(line)["elapsed_ms"] for line in out.splitlines()]


def rapidocr(pictures, threads):
    from rapidocr import RapidOCR

    engine = RapidOCR(params={
        "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        "Global.log_level": "error",
    })
    engine(pictures[0])
    times = []
    for picture in pictures:
        start = time.perf_counter()
        engine(picture)
        times.append((time.perf_counter() - start) * 1e3)
    return times


def tesseract(pictures, threads):
    env = dict(os.environ, OMP_THREAD_LIMIT=str(threads))
    times = []
    for picture in pictures:
        start = time.perf_counter()
        subprocess.run(["tesseract", picture, "-", "-l", "kor+eng"], env=env, check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append((time.perf_counter() - start) * 1e3)
    return times


def one_setting():
    """Runs in a process of its own, bound to its cores by the caller: prints one JSON object."""
    threads, pictures = int(sys.argv[2]), sys.argv[3:]
    os.environ["RTEN_NUM_THREADS"] = str(threads)
    result = {"idgate": [], "rapidocr": [], "tesseract": []}
    for _ in range(ROUNDS):
        result["idgate"] += idgate(pictures)
        result["rapidocr"] += rapidocr(pictures, threads)
        result["tesseract"] += tesseract(pictures, threads)
    print(json.dumps(result))


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--setting":
        return one_setting()
    cards = os.path.join(ROOT, "tests/golden/cards")
    pictures = sys.argv[1:] or sorted(
        os.path.join(cards, name) for name in os.listdir(cards) if name.endswith((".jpg", ".png")))
    print(f"{len(pictures)} pictures, {ROUNDS} rounds; medians in ms")
    for cores, mask in ((1, "0"), (2, "0,1")):
        if cores > (os.cpu_count() or 1):
            continue
        out = subprocess.run(["taskset", "-c", mask, sys.executable, __file__, "--setting", str(cores), *pictures],
                             check=True, stdout=subprocess.PIPE, text=True).stdout
        result = json.loads(out.splitlines()[-1])
        print(f"\n{cores} core{'s' if cores > 1 else ''}")
        own = statistics.median(t["total"] for t in result["idgate"])
        for step in ("decode", "locate", "read", "parse", "total"):
            print(f"  idgate {step:8} {statistics.median(t[step] for t in result['idgate']):9.1f}")
        for peer in ("rapidocr", "tesseract"):
            median = statistics.median(result[peer])
            print(f"  {peer:15} {median:9.1f}   {median / own:5.2f} x idgate total")


if __name__ == "__main__":
    main()
