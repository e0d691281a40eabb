// What Node is told in the image, and wherever hallpass is to run as it does there. The Dockerfile says the same.

export const NODE_FLAGS = [
  // No major collection while the caches fill, which would find nothing: what a start reads stays.
  '--initial-old-space-size=128',
  // Left to itself, V8 takes a nursery of 2 MB where a container may use 512 MiB, and of 64 MB where it may use all of a big node.
  '--max-semi-space-size=16',
];
