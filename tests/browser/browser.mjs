// A web server of another origin than the archive, and a headless browser that opens its pages.
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { extname, join, normalize } from 'node:path';

/** Finds what `install` has put into the folder TEST_BROWSER. */
export const installed = createRequire(`${process.env.TEST_BROWSER}/package.json`);
const { chromium } = installed('playwright-core');

const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.mjs': 'text/javascript',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.woff2': 'font/woff2',
};

/** Serves a folder; `pages` are texts by path that stand before its files; every path that is no file is its index. */
export function serve(folder, pages = {}) {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://viewer').pathname));
    const headers = {
      'Content-Type': TYPES[extname(path)] ?? 'text/html',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    };
    if (path in pages) {
      response.writeHead(200, headers).end(pages[path]);
      return;
    }
    let file = join(folder, path);
    if (!existsSync(file) || statSync(file).isDirectory()) {
      file = join(folder, 'index.html');
      headers['Content-Type'] = 'text/html';
    }
    if (!existsSync(file)) {
      response.writeHead(404, headers).end();
      return;
    }
    response.writeHead(200, headers);
    createReadStream(file).pipe(response);
  });
  return new Promise(resolve => {
    server.listen(0, '127.0.0.1', () => resolve({ server, root: `http://127.0.0.1:${server.address().port}` }));
  });
}

/** Runs `visit(page)` in a browser without a screen, whose WebGL is drawn by the processor. */
export async function browse(executablePath, visit) {
  const browser = await chromium.launch({
    executablePath,
    args: [
      // Runs as root on machines that build.
      '--no-sandbox',
      // Machines that build have a small /dev/shm.
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--disable-component-update',
      '--no-first-run',
      '--use-angle=swiftshader',
      '--enable-unsafe-swiftshader',
      '--ignore-gpu-blocklist',
    ],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    // Fifteen megabytes of program are compiled first, perhaps beside other tests.
    page.setDefaultTimeout(180_000);
    return await visit(page);
  } finally {
    await browser.close();
  }
}
