# syntax=docker/dockerfile:1
# Builds idgate and copies it, with its models, into an image without a shell, run by a user without rights.

FROM rust:1.95-bookworm AS build
WORKDIR /src
# The time of the commit: `--build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)`.
ARG SOURCE_DATE_EPOCH=0
COPY Cargo.toml Cargo.lock build.rs LICENSE-APACHE LICENSE-MIT ./
COPY .ci/release .ci/sbom .ci/
COPY proto proto
COPY src src
COPY models models
# The picture that `idgate demo` sends is compiled in.
COPY tests/golden/cards tests/golden/cards
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    .ci/release /dist
RUN mkdir -p /empty/data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build --chown=0:0 --chmod=0555 /dist/idgate /usr/local/bin/idgate
COPY --from=build --chown=0:0 --chmod=0444 /dist/models/* /usr/local/share/idgate/models/
# With the licences, what is linked into the program (CycloneDX), and checksums of both.
COPY --from=build --chown=0:0 --chmod=0444 /dist/LICENSE-* /dist/idgate.cdx.json /dist/SHA256SUMS /usr/local/share/idgate/
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
