// SPDX-License-Identifier: Apache-2.0
// Makes the flame graph live: fits it to the window, zooms, searches, tells what is under the pointer.
// Foreign names are only ever read from and written to text nodes.
'use strict';
(function () {
	var NS = 'http://www.w3.org/2000/svg';
	var svg = document.documentElement;
	var byId = function (id) { return document.getElementById(id); };
	var data = svg.dataset;
	var ROW = +data.row, HEAD = +data.head, FOOT = +data.foot, SIDE = +data.side;
	var total = +data.total, height = +data.height, icicle = data.icicle === '1';
	var layer = byId('frames'), head = byId('head'), foot = byId('foot');
	var note = byId('note'), matched = byId('matched'), reset = byId('reset');
	var box = byId('search'), input = null;
	var frames = [], selected = null, pattern = null, charWidth = 6.93, seen = height;
	var NOTE_CHAR = 7, aside = foot.querySelector('.small');

	function init() {
		var groups = layer.children, offsets = [];

		for (var i = 0; i < groups.length; i++) {
			var g = groups[i], lines = g.querySelector('title').textContent.split('\n');
			var f = {
				g: g, rect: g.querySelector('rect'), text: g.querySelector('text'),
				name: lines[0], detail: lines.slice(1).join('  ·  '),
				start: +g.dataset.s, value: +g.dataset.v, hit: false, depth: 0
			};

			f.depth = Math.round(icicle ? (+f.rect.getAttribute('y') - HEAD) / ROW :
				(height - FOOT - ROW - +f.rect.getAttribute('y')) / ROW);
			g.frame = f;
			frames.push(f);
			offsets.push(i);
		}
		selected = frames[0];
		svg.removeAttribute('viewBox');
		measure();
		makeInput();
		layer.addEventListener('click', onClick);
		layer.addEventListener('mouseover', onOver);
		layer.addEventListener('mouseout', function () { say('', ''); });
		reset.addEventListener('click', function () { zoom(frames[0]); });
		window.addEventListener('resize', onResize);
		window.addEventListener('scroll', stick);
		window.addEventListener('keydown', onKey);
		layout();
		if (!icicle)
			window.scrollTo(0, height);
		stick();
	}

	function measure() {
		var probe = document.createElementNS(NS, 'text');

		probe.textContent = 'mmmmmmmmmmmmmmmmmmmm';
		layer.appendChild(probe);
		charWidth = (probe.getComputedTextLength() / 20) || charWidth;
		layer.removeChild(probe);
	}

	// The field is HTML inside the picture: without script there is nothing to search with.
	function makeInput() {
		var html = 'http://www.w3.org/1999/xhtml';

		input = document.createElementNS(html, 'input');
		input.setAttribute('type', 'search');
		input.setAttribute('placeholder', 'Search (regular expression)');
		input.setAttribute('spellcheck', 'false');
		input.setAttribute('aria-label', 'Search functions by regular expression');
		box.appendChild(input);
		input.addEventListener('input', function () { search(input.value); });
	}

	function width() {
		return Math.max(320, document.documentElement.clientWidth || window.innerWidth);
	}

	function cut(name, n) {
		var chars;

		if (name.length <= n)
			return name;
		chars = Array.from(name);
		return chars.length <= n ? name : chars.slice(0, n - 1).join('') + '\u2026';
	}

	function label(name, room) {
		var n = Math.floor((room - 6) / charWidth);

		return n < 3 ? '' : cut(name, n);
	}

	function layout() {
		var full = width(), w = full - 2 * SIDE;
		var from = selected.start, span = selected.value, to = from + span;

		svg.setAttribute('width', full);
		for (var i = 0; i < frames.length; i++) {
			var f = frames[i], x, fw, above = false, shown;

			if (f.depth < selected.depth) {
				above = f.start <= from && f.start + f.value >= to;
				shown = above;
				x = 0;
				fw = w;
			} else {
				shown = f.start >= from && f.start + f.value <= to;
				x = (f.start - from) / span * w;
				fw = f.value / span * w;
				shown = shown && fw >= 0.1;
			}
			f.g.classList.toggle('hidden', !shown);
			if (!shown)
				continue;
			f.g.classList.toggle('above', above);
			f.rect.setAttribute('x', (SIDE + x).toFixed(2));
			f.rect.setAttribute('width', fw.toFixed(2));
			f.text.setAttribute('x', (SIDE + x + 3).toFixed(2));
			f.text.textContent = label(f.name, fw);
		}
		reset.classList.toggle('hidden', selected === frames[0]);
		place(full);
	}

	function place(full) {
		var fieldWidth = Math.min(300, Math.floor(full * 0.4));
		var right = document.querySelectorAll('.right'), wide = document.querySelectorAll('.wide');

		box.setAttribute('x', full - SIDE - fieldWidth);
		box.setAttribute('width', fieldWidth);
		for (var i = 0; i < right.length; i++)
			right[i].setAttribute('x', full - SIDE);
		for (i = 0; i < wide.length; i++)
			wide[i].setAttribute(wide[i].tagName === 'line' ? 'x2' : 'width', full);
		reset.setAttribute('x', full - SIDE - fieldWidth - 16);
	}

	// The head and the line of details stay in sight while a deep graph scrolls.
	function stick() {
		var bottom = Math.min(0, window.scrollY + window.innerHeight - height);

		head.setAttribute('transform', 'translate(0,' + Math.max(0, window.scrollY) + ')');
		foot.setAttribute('transform', 'translate(0,' + bottom + ')');
		seen = window.scrollY + window.innerHeight;
	}

	// What is at the lower end, where the roots are, stays in sight.
	function onResize() {
		var below = Math.max(0, height - seen);

		layout();
		if (!icicle)
			window.scrollTo(0, height - below - window.innerHeight);
		stick();
	}

	// A long name gives way to its numbers; the tooltip has all of it.
	function say(name, detail) {
		var room = Math.floor((width() - 2 * SIDE) / NOTE_CHAR) - detail.length - 5;

		note.textContent = name === '' ? '' : cut(name, Math.max(8, room)) + '  \u00b7  ' + detail;
		aside.classList.toggle('hidden', name !== '');
	}

	function frameOf(target) {
		var g = target.closest ? target.closest('#frames > g') : null;

		return g ? g.frame : null;
	}

	function onOver(e) {
		var f = frameOf(e.target);

		if (f)
			say(f.name, f.detail);
	}

	function onClick(e) {
		var f = frameOf(e.target);

		if (f)
			zoom(f);
	}

	function zoom(f) {
		selected = f;
		layout();
		showMatched();
	}

	function search(text) {
		pattern = null;
		input.classList.remove('bad');
		if (text !== '') {
			try {
				pattern = new RegExp(text);
			} catch (error) {
				input.classList.add('bad');
			}
		}
		for (var i = 0; i < frames.length; i++) {
			var f = frames[i];

			f.hit = pattern !== null && pattern.test(f.name);
			f.g.classList.toggle('hit', f.hit);
		}
		layer.classList.toggle('searching', pattern !== null);
		showMatched();
	}

	// The share of what is zoomed to that has a match on its stack: a match below a match counts once.
	function showMatched() {
		var from = selected.start, to = from + selected.value, sum = 0, end = from;
		var hits;

		if (pattern === null) {
			matched.textContent = '';
			return;
		}
		hits = frames.filter(function (f) { return f.hit && f.depth >= selected.depth && f.start < to && f.start + f.value > from; });
		hits.sort(function (a, b) { return a.start - b.start; });
		hits.forEach(function (f) {
			var a = Math.max(f.start, end), b = Math.min(f.start + f.value, to);

			if (b > a) {
				sum += b - a;
				end = b;
			}
		});
		matched.textContent = 'matched ' + (sum / selected.value * 100).toFixed(2) + ' %';
	}

	function onKey(e) {
		if ((e.key === 'f' && (e.ctrlKey || e.metaKey)) || e.key === 'F3' ||
		    (e.key === '/' && document.activeElement !== input)) {
			e.preventDefault();
			input.focus();
			input.select();
		} else if (e.key === 'Escape') {
			if (input.value !== '') {
				input.value = '';
				search('');
			} else {
				zoom(frames[0]);
			}
			input.blur();
		}
	}

	if (layer && layer.children.length > 0)
		init();
})();
