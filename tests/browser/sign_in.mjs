// A person with a browser at an archive that asks who calls: signs in, looks at a study, is safe from pages of elsewhere, signs out.
// Prints one line of JSON of what was seen; the caller judges.
//
//   node sign_in.mjs URL STUDY NAME PASSCODE CHROMIUM
import { browse, serve } from './browser.mjs';

const [archive, study, name, passcode, chromium] = process.argv.slice(2);
const { server, root } = await serve('.', { '/': '<!doctype html><title>elsewhere</title>' });

try {
  const seen = await browse(chromium, async page => {
    const seen = { errors: [] };
    page.on('console', message => {
      // A browser says of every refused address that it was.
      const isOurs = message.location().url.startsWith(archive) && page.url().startsWith(archive);
      if (isOurs && message.type() === 'error' && !message.text().includes('status of 40')) seen.errors.push(message.text());
    });
    page.on('pageerror', error => seen.errors.push(String(error)));
    // With the browser's cookies; the pages' own policy lets no script of theirs ask for anything.
    const status = async () => (await page.context().request.get(`${archive}/dicom-web/studies`)).status();
    await page.goto(`${archive}/studies/${study}`);
    seen.led_to = new URL(page.url()).pathname;
    await page.fill('input[name=name]', name);
    await page.fill('input[name=passcode]', 'another one altogether');
    await page.click('form.account button');
    seen.wrong = await page.textContent('[role=alert]');
    await page.fill('input[name=name]', name);
    await page.fill('input[name=passcode]', passcode);
    await page.click('form.account button');
    await page.waitForURL(`**/studies/${study}`);
    seen.heading = await page.textContent('h1');
    await page.waitForFunction(() => [...document.images].some(image => image.complete && image.naturalWidth > 0));
    seen.script_sees = await page.evaluate(() => document.cookie);
    seen.own = await status();

    // A page of another origin: the cookie does not go with what it asks for.
    await page.goto(root.replace('127.0.0.1', 'localhost'));
    const ask = (url, options) =>
      page.evaluate(
        ([url, options]) => fetch(url, options).then(answer => answer.status, () => 'refused'),
        [url, options],
      );
    seen.foreign_read = await ask(`${archive}/dicom-web/studies`, { credentials: 'include' });
    await ask(`${archive}/sign-out`, { method: 'POST', mode: 'no-cors', credentials: 'include' });
    seen.after_foreign = await status();

    await page.goto(`${archive}/studies/${study}`);
    await page.click('a.own');
    seen.account = await page.textContent('h1');
    await page.click('form[action=sign-out] button');
    await page.waitForURL('**/sign-in');
    seen.after = await status();
    await page.goBack();
    seen.back = await page.evaluate(() => document.body.innerText.includes('Sign in') || document.images.length === 0);
    return seen;
  });
  console.log(JSON.stringify(seen));
} finally {
  server.close();
}
