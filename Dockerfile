# The image that serves models: the program, what it links, certificates, and nothing else. No shell, no package manager.
#
#   docker build -t registry.example.com/ml/sluice:0.1.0 --build-arg DEVICE=cuda \
#       --build-arg REVISION="$(git rev-parse HEAD)" --build-arg CREATED="$(git log -1 --format=%cI)" .
#
# With DEVICE=cuda it runs on GPUs, and on the CPU where there is none; it holds the libraries of CUDA that the program opens,
# and the driver's own comes from the node. Without, it is for the CPU alone, and a twentieth as large: its tag ends with `-cpu`.
# `cargo xtask image --gpu` and `cargo xtask image` build them with buildah and start them as the Deployment does.
ARG DEVICE=cpu

# Any image of Debian 12 with Rust, a C compiler and certificates; for GPUs with a C++ compiler and Python 3.11 with venv too,
# which xtask installs where they are missing. The digest is what counts; a newer one of the same tag has
# Debian's newer repairs: docker buildx imagetools inspect rust:1.95.0-bookworm --format '{{.Manifest.Digest}}'
ARG BUILD_BASE=docker.io/library/rust:1.95.0-bookworm@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1

# Compiles.
FROM ${BUILD_BASE} AS program-cpu
WORKDIR /src
COPY . .
# What was compiled stays in the mounts, which are no part of an image, so the program is copied out of them. Cargo tells by
# times what is fresh, and those of another checkout may be older than what was compiled of this one.
RUN --mount=type=cache,id=sluice-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=sluice-target,target=/src/target \
    find . -path ./target -prune -o -type f -exec touch {} + \
    && cargo build --locked --release --package server --bin sluice \
    && install -D target/release/sluice /out/sluice

# Compiles for GPUs too, with the compiler that xtask pins, and lays CUDA's libraries beside the program.
FROM ${BUILD_BASE} AS program-cuda
WORKDIR /src
COPY . .
RUN --mount=type=cache,id=sluice-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=sluice-target-cuda,target=/src/target \
    --mount=type=cache,id=sluice-tools,target=/var/cache/xtask \
    find . -path ./target -prune -o -type f -exec touch {} + \
    && XTASK_CACHE=/var/cache/xtask cargo run --locked --quiet --package xtask -- cuda --pinned --ship /out

FROM program-${DEVICE} AS program

# Lists the crates that are linked.
FROM ${BUILD_BASE} AS sbom
ARG DEVICE
WORKDIR /src
COPY . .
RUN --mount=type=cache,id=sluice-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=sluice-xtask,target=/src/target \
    find . -path ./target -prune -o -type f -exec touch {} + \
    && cargo run --locked --quiet --package xtask -- sbom --device "${DEVICE}" /out/sluice.cdx.json

# Gathers what the image holds.
FROM ${BUILD_BASE} AS files
WORKDIR /src
COPY image/files.sh LICENSE ./
COPY --from=program /out ./
COPY --from=sbom /out/sluice.cdx.json ./
RUN ./files.sh /image && install -d -m 0700 /cache/sluice

FROM scratch AS image-common
COPY --from=files --chown=0:0 /image /
# The one place that it writes to.
COPY --from=files --chown=10001:10001 /cache /var/cache

# By default the server listens to its own machine only, which in a container is nobody.
ENV PATH=/usr/bin \
    SLUICE_HTTP=0.0.0.0:8000 \
    SLUICE_GRPC=0.0.0.0:8001 \
    SLUICE_ADMIN=0.0.0.0:8002 \
    SLUICE_VALUES=/etc/sluice/values \
    SLUICE_CACHE=/var/cache/sluice
EXPOSE 8000 8001 8002
# By number, so that a cluster sees that it is not root.
USER 10001:10001
WORKDIR /
STOPSIGNAL SIGTERM
# Whether the process answers, at the admin port, by what is open to everybody; Kubernetes has probes of its own instead.
# With TLS there it needs SLUICE_ADMIN_URL and SLUICE_CLIENT_CA: docs/security.md.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["sluice", "status", "--alive"]
ENTRYPOINT ["sluice"]
CMD ["serve"]

FROM image-common AS image-cpu

FROM image-common AS image-cuda
# Where the node's driver is: GKE mounts it there. NVIDIA's own runtime reads the other two, and finds a place for it.
ENV LD_LIBRARY_PATH=/usr/local/nvidia/lib64 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM image-${DEVICE}
# Last, because they change with every commit.
ARG SOURCE=https://git.example.com/ml/sluice
ARG VERSION=0.1.0
ARG REVISION
ARG CREATED
LABEL org.opencontainers.image.title="sluice" \
      org.opencontainers.image.description="Inference server that is deployed by a commit and rolled back by a revert" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
