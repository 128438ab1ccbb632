import { defineConfig } from "vitest/config";

// Frames of a simulated page may come late on a busy machine: what fails then is tried again.
export default defineConfig({ test: { include: ["test/**/*.test.ts"], retry: 2 } });
