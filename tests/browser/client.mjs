// Drives an archive with the JavaScript dicomweb-client from a page of another origin: everything that it can ask of one
// study whose first instance is in a Part 10 file. Prints one line of JSON of what came back; the caller judges.
//
//   node client.mjs DICOMWEB_ROOT CHROMIUM PART10...
import { readFileSync } from 'node:fs';
import { browse, installed, serve } from './browser.mjs';

const [archive, chromium, ...files] = process.argv.slice(2);
const bundle = readFileSync(installed.resolve('dicomweb-client'), 'utf8');
const { server, root } = await serve('.', { '/': '<!doctype html><title>client</title>' });

try {
  const seen = await browse(chromium, async page => {
    await page.goto(root);
    await page.addScriptTag({ content: bundle });
    const parts = files.map(file => readFileSync(file).toString('base64'));
    return page.evaluate(
      async ({ url, parts }) => {
        const { DICOMwebClient } = window.DICOMwebClient.api ?? window['dicomweb-client'].api;
        const client = new DICOMwebClient({ url, verbose: false });
        const bytes = text => Uint8Array.from(atob(text), character => character.charCodeAt(0));
        const same = (a, b) => a.length === b.length && a.every((byte, place) => byte === b[place]);
        await client.storeInstances({ datasets: parts.map(part => bytes(part).buffer) });

        const [study] = await client.searchForStudies({ queryParams: { limit: 1 } });
        const studyInstanceUID = study['0020000D'].Value[0];
        const [series] = await client.searchForSeries({ studyInstanceUID });
        const seriesInstanceUID = series['0020000E'].Value[0];
        const found = await client.searchForInstances({ studyInstanceUID, seriesInstanceUID });
        const sopInstanceUID = found[0]['00080018'].Value[0];
        const of = { studyInstanceUID, seriesInstanceUID, sopInstanceUID };

        const metadata = [await client.retrieveInstanceMetadata(of)].flat()[0];
        const frames = await client.retrieveInstanceFrames({ ...of, frameNumbers: [1] });
        const bulk = await client.retrieveBulkData({ BulkDataURI: metadata['7FE00010'].BulkDataURI });
        const jpeg = { ...of, mediaTypes: [{ mediaType: 'image/jpeg' }] };
        const first = answer => new Uint8Array([answer].flat()[0]);
        const rendered = first(await client.retrieveInstanceRendered(jpeg));
        const thumbnail = first(await client.retrieveInstanceThumbnail(jpeg));
        const whole = new Uint8Array(await client.retrieveInstance(of));
        const pixels = new Uint8Array(frames[0]);
        return {
          of: seriesInstanceUID,
          instances: found.length,
          study_metadata: (await client.retrieveStudyMetadata({ studyInstanceUID })).length,
          series_metadata: (await client.retrieveSeriesMetadata({ studyInstanceUID, seriesInstanceUID })).length,
          series: (await client.retrieveSeries({ studyInstanceUID, seriesInstanceUID })).length,
          study: (await client.retrieveStudy({ studyInstanceUID })).length,
          frame_bytes: pixels.length,
          bulk_is_the_frame: same(new Uint8Array(bulk[0]), pixels),
          rendered: [...rendered.slice(0, 3)],
          thumbnail: [...thumbnail.slice(0, 3)],
          instance_ends_with_the_frame: same(whole.slice(-pixels.length), pixels),
          prefix: String.fromCharCode(...whole.slice(128, 132)),
        };
      },
      { url: archive, parts },
    );
  });
  console.log(JSON.stringify(seen));
} finally {
  server.close();
}
