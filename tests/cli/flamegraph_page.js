// SPDX-License-Identifier: Apache-2.0
// Opens a flame graph as a browser does, clicks, searches and scrolls, and looks at what is shown.
// usage: flamegraph_page.js FILE.svg     of the stacks in flamegraph.bats
'use strict';
const assert = require('assert');
const fs = require('fs');
const { JSDOM } = require('jsdom');

const dom = new JSDOM(fs.readFileSync(process.argv[2], 'utf8'),
	{ contentType: 'image/svg+xml', runScripts: 'outside-only', pretendToBeVisual: true });
const { window } = dom, { document } = window;
const scripts = document.querySelectorAll('script');

// what jsdom has no layout for
window.SVGElement.prototype.getComputedTextLength = function () { return 7 * this.textContent.length; };
window.scrollTo = (x, y) => { window.scrollY = Math.max(0, y); };
window.scrollY = 0;
window.innerWidth = 1200;
window.innerHeight = 600;

assert.strictEqual(scripts.length, 1);
assert.doesNotMatch(document.documentElement.outerHTML.replace(/xmlns(:\w+)?="[^"]*"/g, ''), /(href|src)=|url\(|@import/,
	'nothing is loaded from elsewhere');
window.eval(scripts[0].textContent);

const byId = (id) => document.getElementById(id);
const frames = (name) => [...document.querySelectorAll('#frames > g')].filter((g) => g.frame.name === name);
const frame = (name) => { const all = frames(name); assert.strictEqual(all.length, 1, name); return all[0]; };
const shown = (g) => !g.classList.contains('hidden');
const width = (g) => +g.querySelector('rect').getAttribute('width');
const fire = (target, event) => target.dispatchEvent(event);
const click = (g) => fire(g.querySelector('rect') || g, new window.MouseEvent('click', { bubbles: true }));
const key = (k, more) => fire(window, new window.KeyboardEvent('keydown', { key: k, cancelable: true, ...more }));
const near = (a, b) => assert.ok(Math.abs(a - b) < 0.02, `${a} is not ${b}`);

function search(text) {
	const input = document.querySelector('#search > *');

	input.value = text;
	fire(input, new window.Event('input'));
	return byId('matched').textContent;
}

const FULL = 1200 - 24;

// as it opens: all of it, roots in sight, no button
near(width(frame('main')), FULL);
near(width(frame('hot')), FULL * 0.6);
assert.ok(byId('reset').classList.contains('hidden'));
assert.ok(window.scrollY > 0, 'the roots are at the lower end');

// a click: that frame is as wide as the window, what is beside it is gone, its callers stay
click(frame('hot'));
near(width(frame('hot')), FULL);
near(width(frame('main')), FULL);
assert.ok(frame('main').classList.contains('above'));
assert.ok(!shown(frame('cold')));
assert.ok(!byId('reset').classList.contains('hidden'));

// matched: of what is zoomed to, a match below a match once
assert.strictEqual(search('^leaf'), 'matched 50.00 %');
click(byId('reset'));
near(width(frame('hot')), FULL * 0.6);
assert.strictEqual(byId('matched').textContent, 'matched 30.00 %');
assert.strictEqual(search('hot|leaf'), 'matched 60.00 %');
assert.ok(frame('hot').classList.contains('hit') && !frame('cold').classList.contains('hit'));
assert.ok(byId('frames').classList.contains('searching'));
assert.strictEqual(search('nothing of this'), 'matched 0.00 %');

// what is no regular expression is said, and matches nothing
search('(');
assert.ok(document.querySelector('#search > *').classList.contains('bad'));
assert.strictEqual(byId('matched').textContent, '');
assert.ok(!byId('frames').classList.contains('searching'));

// keys: Ctrl-F goes to the field, Escape clears it, then the zoom
assert.strictEqual(key('f', { ctrlKey: true }), false, "the browser's own search stays away");
search('hot');
click(frame('cold'));
key('Escape');
assert.strictEqual(byId('matched').textContent, '');
assert.ok(!shown(frame('hot')));
key('Escape');
assert.ok(shown(frame('hot')));

// a stack of 300 frames, one sample of a thousand: the innermost is reached
click(frame('deep299'));
near(width(frame('deep299')), FULL);
assert.strictEqual(frame('deep299').frame.depth, frame('deep0').frame.depth + 299);
click(byId('reset'));

// names are text, however they look; a long one leaves room for its numbers
const hostile = frame('<script>alert(1)</script>"&\\x1b[2J');
fire(hostile.querySelector('rect'), new window.MouseEvent('mouseover', { bubbles: true }));
assert.match(byId('note').textContent, /^<script>alert.* {2}\u00b7 {2}.*\(9\.90?%\)/);
assert.strictEqual(byId('note').children.length, 0);
const long = [...document.querySelectorAll('#frames > g')].find((g) => g.frame.name.startsWith('long<'));
fire(long.querySelector('rect'), new window.MouseEvent('mouseover', { bubbles: true }));
assert.ok(byId('note').textContent.length < 1200 / 7);
assert.match(byId('note').textContent, /\u2026 {2}\u00b7 {2}.*%\)/);
fire(long.querySelector('rect'), new window.MouseEvent('mouseout', { bubbles: true }));
assert.strictEqual(byId('note').textContent, '');

// another size of the window: the width is its, the roots stay in sight
window.innerWidth = 700;
window.innerHeight = 400;
fire(window, new window.Event('resize'));
near(width(frame('main')), 700 - 24);
assert.strictEqual(window.scrollY, +document.documentElement.dataset.height - 400);
process.exit(0);
