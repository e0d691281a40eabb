# hallpass's image, for people with a container engine: `docker build --tag hallpass:dev .`
# `make image` assembles the same tree without an engine; both ways run image/build.ts, so there is one image to keep.
#
# The build stage is named by its exact version and not by a digest, which could not be looked up where this was written;
# add one before relying on this file: `docker buildx imagetools inspect node:24.21.0-bookworm-slim`. What ends up in the
# image does not come from it: Node is npm's, held by the lock file's digest, and the C and C++ libraries are Debian
# packages held by theirs (image/debian-packages.ts).
FROM node:24.21.0-bookworm-slim AS build
WORKDIR /hallpass
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --omit=dev
COPY image image
COPY src src
COPY LICENSE .
RUN node --disable-warning=ExperimentalWarning image/build.ts --rootfs /rootfs

FROM scratch
COPY --from=build /rootfs /
USER 65532:65532
WORKDIR /app
ENV PATH=/usr/local/bin NODE_ENV=production
# The flags are those of image/node-flags.ts, which says why.
ENTRYPOINT ["/usr/local/bin/node", "--initial-old-space-size=128", "--max-semi-space-size=16", "/app/src/main.js"]
