//! One test binary: behaviour through the wire, and the rules about the code itself.
