# syntax=docker/dockerfile:1
# Builds idgate and copies it, with its models, into an image without a shell, run by a user without rights.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs LICENSE-APACHE LICENSE-MIT ./
COPY proto proto
COPY src src
COPY models models
# The picture that `idgate demo` sends is compiled in.
COPY tests/golden/cards tests/golden/cards
RUN cd models && sha256sum --check --strict SHA256SUMS
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/idgate /idgate
RUN mkdir -p /empty/data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build --chown=0:0 --chmod=0555 /idgate /usr/local/bin/idgate
COPY --from=build --chown=0:0 --chmod=0444 /src/models/*.onnx /src/models/*.txt /src/models/SHA256SUMS /usr/local/share/idgate/models/
COPY --from=build --chown=0:0 --chmod=0444 /src/LICENSE-* /usr/local/share/idgate/
COPY --from=build --chown=65532:65532 --chmod=0700 /empty/data /var/lib/idgate
ENV IDGATE_MODELS=/usr/local/share/idgate/models
USER 65532:65532
WORKDIR /var/lib/idgate
VOLUME ["/var/lib/idgate"]
# gRPC; metrics, health and JWKS.
EXPOSE 50051 50052
STOPSIGNAL SIGTERM
# Production settings: mount a configuration and the keys it names; development keys are refused.
ENTRYPOINT ["/usr/local/bin/idgate"]
CMD ["serve", "--config", "/etc/idgate/config.toml"]
