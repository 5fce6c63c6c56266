/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize_profile.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "client.h"
#include "output.h"
#include "profile.h"
#include "worker.h"

#define PROFILE_FILE_BYTES (1ULL << 30)

struct naming {
	struct profile *from, *to;
	struct worker *worker;
	const char *debug_folder;
	uint64_t *mappings;  /* by old id, new ids */
	uint64_t *locations; /* likewise; 0 not named yet */
	size_t n_wanted, n_named;
	/* of the mapping at hand */
	uint64_t *offsets, *ids;
	size_t n;
};

static void naming_done(struct naming *n)
{
	worker_free(n->worker);
	profile_free(n->from);
	profile_free(n->to);
	free(n->mappings);
	free(n->locations);
	free(n->offsets);
	free(n->ids);
}

static int naming_read(struct naming *n, const char *path)
{
	_cleanup_(buf_done) struct buf data = BUF_INIT(PROFILE_FILE_BYTES);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int r = fd < 0 ? -errno : buf_read_fd(&data, fd);

	if (r < 0)
		return say_error("cannot read %s: %s", path, strerror(-r));
	r = profile_read(&n->from, data.data, data.size);
	if (r == -EBADMSG)
		return say_error("%s is not a pprof profile", path);
	return r < 0 ? say_error("%s: %s", path, strerror(-r)) : 0;
}

/* "[libfoo.so+0x1234]", a function without file, or nothing. */
static bool naming_wants(const struct naming *n, uint64_t id)
{
	struct profile_function f;
	struct profile_location l;
	struct profile_line line;

	if (!profile_get_location(n->from, id, &l) || l.mapping == 0)
		return false;
	if (l.n_lines == 0 || !profile_get_line(n->from, id, 0, &line) ||
	    !profile_get_function(n->from, line.function, &f))
		return true;
	if (f.name[0] == '[')
		return strstr(f.name, "+0x") != NULL;
	return !*f.filename && l.n_lines == 1;
}

static int naming_copy_frame(struct naming *n)
{
	struct profile_value_type types[PROFILE_MAX_TYPES];
	size_t n_types = profile_n_types(n->from);
	uint64_t id;
	int r;

	for (size_t i = 0; i < n_types; i++)
		types[i] = profile_get_type(n->from, i);
	r = profile_new(&n->to, types, n_types);
	if (r < 0)
		return r;
	r = profile_copy_header(n->to, n->from);
	for (id = 1; r == 0 && id <= profile_n_mappings(n->from); id++) {
		struct profile_mapping m = *profile_get_mapping(n->from, id);

		r = profile_string(n->to, profile_get_string(n->from, m.filename), &m.filename);
		if (r == 0)
			r = profile_string(n->to, profile_get_string(n->from, m.build_id),
					   &m.build_id);
		if (r == 0)
			r = profile_add_mapping(n->to, &m, &n->mappings[id]);
	}
	return r;
}

static int offset_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The offsets of a mapping's locations that want names, sorted and distinct. */
static void naming_collect(struct naming *n, uint64_t mapping, const struct profile_mapping *m)
{
	size_t to = 0;

	n->n = 0;
	for (uint64_t id = 1; id <= profile_n_locations(n->from); id++) {
		struct profile_location l;

		if (profile_get_location(n->from, id, &l) && l.mapping == mapping &&
		    l.address >= m->start && l.address < m->limit && naming_wants(n, id))
			n->offsets[n->n++] = l.address - m->start + m->offset;
	}
	n->n_wanted += n->n;
	qsort(n->offsets, n->n, sizeof(*n->offsets), offset_compare);
	for (size_t i = 0; i < n->n; i++)
		if (to == 0 || n->offsets[i] != n->offsets[to - 1])
			n->offsets[to++] = n->offsets[i];
	n->n = MIN(to, (size_t)WORKER_MAX_OFFSETS);
}

/* Functions and lines of one answer. */
static int naming_add_location(struct naming *n, uint64_t id, const struct symanswer *a,
			       const struct symbolize_location *location, const char *lines)
{
	struct profile_line out[SYMBOLIZE_MAX_LINES];
	struct profile_location old;
	int r;

	for (uint32_t i = 0; i < location->n_lines; i++) {
		struct symbolize_line line;

		symanswer_line(lines, i, &line);
		r = profile_add_function(n->to, a->strings + line.name,
					 a->strings + line.system_name, a->strings + line.file,
					 line.start_line, &out[i].function);
		if (r < 0)
			return r;
		out[i].line = line.line;
		out[i].column = line.column;
	}
	profile_get_location(n->from, id, &old);
	n->n_named++;
	return profile_add_location(n->to, n->mappings[old.mapping], old.address, out,
				    location->n_lines, &n->locations[id]);
}

static int naming_take(struct naming *n, uint64_t mapping, const struct profile_mapping *m,
		       const struct symanswer *a)
{
	int r = 0;

	for (uint64_t id = 1; id <= profile_n_locations(n->from) && r == 0; id++) {
		struct symanswer_cursor cursor = { 0 };
		struct symbolize_location location;
		struct profile_location l;
		const char *lines;

		if (!profile_get_location(n->from, id, &l) || l.mapping != mapping ||
		    n->locations[id] || !naming_wants(n, id))
			continue;
		for (size_t i = 0; i < n->n; i++) {
			symanswer_next(a, &cursor, &location, &lines);
			if (n->offsets[i] != l.address - m->start + m->offset)
				continue;
			if (location.n_lines > 0)
				r = naming_add_location(n, id, a, &location, lines);
			break;
		}
	}
	return r;
}

static int naming_ask(struct naming *n, int fd, const char *path, uint32_t flags,
		      struct symanswer *ret)
{
	int r = worker_open(n->worker, fd, path, n->debug_folder, flags, NULL, false);

	return r < 0 ? r : worker_ask(n->worker, n->offsets, n->n, ret);
}

/* 1: this was the file. */
static int naming_try(struct naming *n, uint64_t mapping, const struct profile_mapping *m,
		      const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	const char *build_id = profile_get_string(n->from, m->build_id);
	struct symanswer answer;
	int r;

	if (fd < 0)
		return 0;
	r = naming_ask(n, fd, path, SYMBOLIZE_DWARF, &answer);
	if (r == -EFBIG)
		r = naming_ask(n, fd, path, 0, &answer);
	if (r < 0) {
		say("note: %s: %s", path, worker_error(r));
		return r == -ENOMEM ? r : 0;
	}
	if (*build_id && strcmp(build_id, answer.strings + answer.head.build_id) != 0)
		return 0;
	r = naming_take(n, mapping, m, &answer);
	return r < 0 ? r : 1;
}

/* Beneath the folder of debug files by path, by name and by build-id, then where it was. */
static int naming_mapping(struct naming *n, uint64_t mapping, const struct profile_mapping *m)
{
	const char *file = profile_get_string(n->from, m->filename);
	const char *build_id = profile_get_string(n->from, m->build_id), *slash;
	const char *folder = n->debug_folder;
	char path[PATH_MAX];
	int r = 0;

	if (file[0] != '/')
		return 0;
	slash = strrchr(file, '/');
	if (folder) {
		snprintf(path, sizeof(path), "%s%s", folder, file);
		r = naming_try(n, mapping, m, path);
	}
	if (folder && r == 0) {
		snprintf(path, sizeof(path), "%s%s", folder, slash);
		r = naming_try(n, mapping, m, path);
	}
	if (folder && r == 0 && strlen(build_id) > 2) {
		snprintf(path, sizeof(path), "%s/.build-id/%.2s/%s", folder, build_id,
			 build_id + 2);
		r = naming_try(n, mapping, m, path);
	}
	if (r == 0)
		r = naming_try(n, mapping, m, file);
	return r < 0 ? r : 0;
}

static int naming_mappings(struct naming *n)
{
	int r = 0;

	for (uint64_t id = 1; r == 0 && id <= profile_n_mappings(n->from); id++) {
		struct profile_mapping m = *profile_get_mapping(n->from, id);

		naming_collect(n, id, &m);
		if (n->n > 0)
			r = naming_mapping(n, id, &m);
		if (n->n > 0 && r == 0) {
			struct profile_mapping *to = profile_get_mapping(n->to, n->mappings[id]);

			to->has_functions = true;
		}
	}
	return r;
}

/* All locations that have not been named stay as they were. */
static int naming_copy_location(struct naming *n, uint64_t id)
{
	struct profile_line lines[PROFILE_MAX_LINES];
	struct profile_location l;
	int r;

	if (!profile_get_location(n->from, id, &l))
		return -EINVAL;
	for (size_t i = 0; i < l.n_lines; i++) {
		struct profile_function f;

		if (!profile_get_line(n->from, id, i, &lines[i]) ||
		    !profile_get_function(n->from, lines[i].function, &f))
			return -EINVAL;
		r = profile_add_function(n->to, f.name, f.system_name, f.filename, f.start_line,
					 &lines[i].function);
		if (r < 0)
			return r;
	}
	return profile_add_location(n->to, l.mapping ? n->mappings[l.mapping] : 0, l.address, lines,
				    l.n_lines, &n->locations[id]);
}

static int naming_string(struct naming *n, uint64_t *index)
{
	return profile_string(n->to, profile_get_string(n->from, *index), index);
}

static int naming_copy_sample(struct naming *n, size_t index)
{
	struct profile_label labels[PROFILE_MAX_LABELS];
	uint64_t locations[PROFILE_MAX_DEPTH];
	struct profile_sample s;
	int r = 0;

	if (!profile_get_sample(n->from, index, &s))
		return -EINVAL;
	for (size_t i = 0; i < s.n_locations; i++)
		locations[i] = n->locations[s.locations[i]];
	for (size_t i = 0; i < s.n_labels && r == 0; i++) {
		profile_get_label(n->from, index, i, &labels[i]);
		r = naming_string(n, &labels[i].key);
		if (r == 0)
			r = naming_string(n, &labels[i].str);
		if (r == 0)
			r = naming_string(n, &labels[i].num_unit);
	}
	return r < 0 ? r
		     : profile_add_sample(n->to, locations, s.n_locations, s.values, labels,
					  s.n_labels);
}

static int naming_run(struct naming *n)
{
	size_t n_locations = profile_n_locations(n->from);
	int r;

	n->mappings = calloc(profile_n_mappings(n->from) + 1, sizeof(*n->mappings));
	n->locations = calloc(n_locations + 1, sizeof(*n->locations));
	n->offsets = calloc(n_locations + 1, sizeof(*n->offsets));
	if (!n->mappings || !n->locations || !n->offsets)
		return -ENOMEM;

	r = naming_copy_frame(n);
	if (r == 0)
		r = naming_mappings(n);
	for (uint64_t id = 1; r == 0 && id <= n_locations; id++)
		if (n->locations[id] == 0)
			r = naming_copy_location(n, id);
	for (size_t i = 0; r == 0 && i < profile_n_samples(n->from); i++)
		r = naming_copy_sample(n, i);
	return r;
}

static int naming_write(const struct naming *n, struct output *out)
{
	_cleanup_(buf_done) struct buf data = BUF_INIT(PROFILE_FILE_BYTES);
	int r = profile_write(n->to, &data);

	if (r < 0)
		return say_error("cannot make the profile: %s", strerror(-r));
	return output_write(out, data.data, data.size, NULL, NULL) < 0 ? EXIT_FAILURE : 0;
}

int symbolize_profile(const char *path, const char *output, const char *debug_folder)
{
	_cleanup_(naming_done) struct naming n = { .debug_folder = debug_folder };
	struct capture_options options = { .output = output ? output : path };
	_cleanup_(output_freep) struct output *out = NULL;
	int r;

	r = naming_read(&n, path);
	if (r != 0)
		return r;
	r = worker_new(&n.worker);
	if (r < 0)
		return say_error("%s", worker_start_error(r));
	if (output_open(&out, &options) < 0)
		return EXIT_FAILURE;
	r = naming_run(&n);
	if (r < 0)
		return say_error("%s: %s", path, strerror(-r));
	r = naming_write(&n, out);
	if (r == 0)
		say("%s: %zu of %zu places without name, file or line have them now",
		    output_name(out), n.n_named, n.n_wanted);
	return r;
}
