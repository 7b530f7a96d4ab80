// Opens the built OHIF viewer against a running archive as a radiologist would: the list of studies, then one study.
// Prints one line of JSON of what was seen; the caller judges.
//
//   node ohif.mjs VIEWER_FOLDER DICOMWEB_ROOT STUDY_INSTANCE_UID CHROMIUM SCREENSHOT_FOLDER
import { join } from 'node:path';
import { browse, serve } from './browser.mjs';

const [viewer, archive, study, chromium, screenshots] = process.argv.slice(2);

const CONFIG = `window.config = ${JSON.stringify({
  routerBasename: null,
  extensions: [],
  modes: [],
  showStudyList: true,
  maxNumberOfWebWorkers: 2,
  investigationalUseDialog: { option: 'never' },
  defaultDataSourceName: 'filmroom',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'filmroom',
      configuration: {
        friendlyName: 'Filmroom',
        name: 'filmroom',
        qidoRoot: archive,
        wadoRoot: archive,
        wadoUriRoot: archive,
        qidoSupportsIncludeField: true,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: true,
        supportsWildcard: true,
        bulkDataURI: { enabled: true },
        omitQuotationForMultipartRequest: true,
      },
    },
  ],
})};`;

/** How much of an element's picture is neither black nor the page's own dark ground. */
async function litShare(page, selector) {
  const picture = (await page.locator(selector).first().screenshot()).toString('base64');
  return page.evaluate(async data => {
    const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${data}`)).blob());
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
    context.drawImage(bitmap, 0, 0);
    const { data: rgba } = context.getImageData(0, 0, bitmap.width, bitmap.height);
    let lit = 0;
    for (let i = 0; i < rgba.length; i += 4) {
      if (rgba[i] > 60 && rgba[i + 1] > 60 && rgba[i + 2] > 60) lit += 1;
    }
    return lit / (rgba.length / 4);
  }, picture);
}

const seen = { list: '', lit: 0, refused: [], errors: [] };
const { server, root } = await serve(viewer, { '/app-config.js': CONFIG });
try {
  await browse(chromium, async page => {
    const is_ours = url => url.startsWith(archive);
    page.on('response', r => is_ours(r.url()) && r.status() >= 400 && seen.refused.push(`${r.status()} ${r.url()}`));
    page.on('pageerror', error => seen.errors.push(String(error).slice(0, 300)));
    await page.goto(`${root}/`, { waitUntil: 'domcontentloaded' });
    await page.locator('table tbody tr, [data-cy^="studyRow"]').first().waitFor();
    seen.list = await page.locator('body').innerText();
    await page.screenshot({ path: join(screenshots, 'list.png') });
    await page.goto(`${root}/viewer?StudyInstanceUIDs=${study}`, { waitUntil: 'domcontentloaded' });
    const viewport = '.cornerstone-canvas, canvas';
    await page.locator(viewport).first().waitFor();
    // A newcomer is offered a tour, which darkens what is behind it.
    await page.getByText('Skip all').first().click({ timeout: 30_000 }).catch(() => {});
    const until = Date.now() + 240_000;
    while (seen.lit < 0.02 && Date.now() < until) {
      seen.lit = await litShare(page, viewport);
      if (seen.lit < 0.02) await page.waitForTimeout(250);
    }
    await page.screenshot({ path: join(screenshots, 'study.png') });
  });
} catch (error) {
  seen.errors.push(String(error).slice(0, 600));
} finally {
  server.close();
}
console.log(JSON.stringify(seen));
