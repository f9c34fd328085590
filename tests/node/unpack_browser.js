// Unpacks the npm package's Chromium, its libraries and its fonts into node_modules/.browser, on Linux on x86-64 alone.
// Its own arguments are not used: with them a page would be less guarded than a visitor's.
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = join(import.meta.dirname, "node_modules", ".browser");
const unfinished = `${folder}.unfinished`;

if (process.platform === "linux" && process.arch === "x64") {
  rmSync(folder, { recursive: true, force: true });
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished);
  process.env.TMPDIR = unfinished; // where the package unpacks to
  const { inflate } = await import("@sparticuz/chromium");
  const archives = join(dirname(fileURLToPath(import.meta.resolve("@sparticuz/chromium"))), "..", "bin");
  for (const name of ["chromium.br", "swiftshader.tar.br", "al2023.tar.br", "fonts.tar.br"]) {
    await inflate(join(archives, name));
  }
  renameSync(unfinished, folder);
}
