// vitest.config.ts — the test tiers that run in Node, one vitest project each.
//
// tidy and unit need nothing; switch needs the built addon but no root; e2e needs root and
// network namespaces, so its files run one after the other and may take minutes.

import { defineConfig } from 'vitest/config';

const secondMs = 1000;

// vitest reads its configuration from the default export; nothing else in the repository has one.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'tidy',
          include: ['test/tidy.test.ts'],
          environment: 'node',
          testTimeout: 60 * secondMs,
        },
      },
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          environment: 'node',
          // No file changes what another sees: they share a process, and load the modules once.
          isolate: false,
          testTimeout: 30 * secondMs,
        },
      },
      {
        test: {
          name: 'switch',
          include: ['test/switch/**/*.test.ts'],
          environment: 'node',
          pool: 'forks',
          testTimeout: 30 * secondMs,
          hookTimeout: 30 * secondMs,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          environment: 'node',
          pool: 'forks',
          fileParallelism: false,
          // Real clocks, kernels and processes on a machine of unknown load: a test that fails is
          // run once more, and vitest says so ("retry x1").
          retry: 1,
          testTimeout: 120 * secondMs,
          hookTimeout: 180 * secondMs,
        },
      },
    ],
  },
});
