"""Makes the PP-OCRv6 files of this folder from the ones that the `rapidocr` wheel ships. Deterministic.

    pip install onnx==1.23.2 numpy==2.4.6 && pip download --no-deps rapidocr==3.10.0
    unzip rapidocr-3.10.0-*.whl 'rapidocr/models/*' && python convert.py rapidocr/models .

What is changed, and why the result is the same network:
- grey input: PP-OCR normalises each of three equal channels to (x / 255 - 0.5) / 0.5, which is twice ocrs' grey value
  (x / 255 - 0.5); so the first convolution's three input planes fold into one, times two, without rounding loss;
- the detector declares the fixed input size that ocrs asks for (any multiple of 32 works; idgate rewrites the two
  numbers when it loads the file);
- the recogniser ends in LogSoftmax and gives [time, batch, class], as ocrs' CTC decoder takes it;
- the ASCII recogniser keeps only the head's rows for blank and printable ASCII: the same arg-max as masking the others.
"""

import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper

DET, REC = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"


def fold_to_grey(model):
    graph = model.graph
    source = graph.input[0].name
    alias = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Identity"}

    def origin(name):
        while name in alias:
            name = alias[name]
        return name

    weights = {i.name: i for i in graph.initializer}
    for node in graph.node:
        if node.op_type != "Identity" and any(origin(i) == source for i in node.input):
            assert node.op_type == "Conv", node.op_type
            name = origin(node.input[1])
            grey = 2 * numpy_helper.to_array(weights[name]).sum(1, keepdims=True)
            graph.initializer.append(numpy_helper.from_array(grey.astype(np.float32), name + "_grey"))
            node.input[1] = name + "_grey"


def declare(value, dims):
    shape = value.type.tensor_type.shape
    del shape.dim[:]
    for dim in dims:
        entry = shape.dim.add()
        if isinstance(dim, int):
            entry.dim_value = dim
        else:
            entry.dim_param = dim


def save(model, path):
    del model.graph.value_info[:]
    del model.metadata_props[:]
    used = {i for n in model.graph.node for i in n.input}
    keep = [i for i in model.graph.initializer if i.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(keep)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def detector(source, out):
    model = onnx.load(f"{source}/{DET}")
    fold_to_grey(model)
    declare(model.graph.input[0], ["batch", 1, 640, 960])
    declare(model.graph.output[0], ["batch", 1, 640, 960])
    save(model, f"{out}/pp-ocrv6-small-det.onnx")


def recogniser(source, out):
    model = onnx.load(f"{source}/{REC}")
    characters = next(p.value for p in model.metadata_props if p.key == "character").split("\n")
    alphabet = "".join(c for c in characters if c) + " "
    fold_to_grey(model)
    graph = model.graph
    softmax = graph.node[-1]
    assert softmax.op_type == "Softmax"
    del graph.node[-1]
    graph.node.append(helper.make_node("LogSoftmax", [softmax.input[0]], ["logp"], axis=2))
    graph.node.append(helper.make_node("Transpose", ["logp"], ["logp_tnc"], perm=[1, 0, 2]))
    graph.output[0].name = "logp_tnc"
    classes = len(alphabet) + 1
    declare(graph.input[0], ["batch", 1, 48, "width"])
    declare(graph.output[0], ["seq", "batch", classes])
    full = f"{out}/pp-ocrv6-small-rec"
    save(model, full + ".onnx")
    write(full + ".alphabet.txt", alphabet)

    ascii_chars = list(dict.fromkeys(c for c in alphabet if 32 <= ord(c) < 127))
    keep = [0] + [alphabet.index(c) + 1 for c in ascii_chars]
    for tensor in graph.initializer:
        if classes in tensor.dims:
            values = numpy_helper.to_array(tensor)
            cut = np.ascontiguousarray(np.take(values, keep, axis=list(values.shape).index(classes)))
            tensor.CopyFrom(numpy_helper.from_array(cut, tensor.name))
    declare(graph.output[0], ["seq", "batch", len(keep)])
    save(model, full + "-ascii.onnx")
    write(full + "-ascii.alphabet.txt", "".join(ascii_chars))


def write(path, text):
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)


if __name__ == "__main__":
    detector(*sys.argv[1:3])
    recogniser(*sys.argv[1:3])
