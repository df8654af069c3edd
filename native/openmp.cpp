#include "openmp.h"

#include <atomic>

#if defined(__linux__)
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>

#include <cstring>
#include <initializer_list>

namespace fastlstm {
namespace {

// The part of GCC's OpenMP interface that Intel's and LLVM's runtimes offer as well.
struct OpenMp {
  void (*parallel)(void (*body)(void*), void* data, unsigned threads, unsigned flags) = nullptr;
  int (*thread_number)() = nullptr;
  int (*thread_count)() = nullptr;
};

OpenMp open(const char* path) {
  OpenMp found;
  void* library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);  // of no path, whatever all libraries see
  if (!library) return found;
  found.thread_number = reinterpret_cast<int (*)()>(dlsym(library, "omp_get_thread_num"));
  found.thread_count = reinterpret_cast<int (*)()>(dlsym(library, "omp_get_num_threads"));
  if (found.thread_number && found.thread_count)
    found.parallel = reinterpret_cast<decltype(found.parallel)>(dlsym(library, "GOMP_parallel"));
  return found;
}

// The first library of a name that has one, or depends on one: what it calls itself.
OpenMp find_by(const char* prefix) {
  struct Search {
    const char* prefix;
    OpenMp found;
  } search{prefix, {}};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        Search& search = *static_cast<Search*>(data);
        const char* name = std::strrchr(info->dlpi_name, '/');
        if (name && std::strncmp(name + 1, search.prefix, std::strlen(search.prefix)) == 0)
          search.found = open(info->dlpi_name);
        return search.found.parallel ? 1 : 0;
      },
      &search);
  return search.found;
}

// torch's, of which there may be others beside it: every package brings a private copy with a name like
// libgomp-a34b3233.so.1.
OpenMp find() {
  OpenMp found = open(nullptr);
  for (const char* prefix : {"libtorch_cpu", "libgomp", "libiomp5", "libomp"})
    if (!found.parallel) found = find_by(prefix);
  return found;
}

std::atomic<bool> forked{false};
// When the module loads, not at the first call: torch may have used the runtime's threads by itself before
// the process forks, and the child that calls us first has none of them.
[[maybe_unused]] const int at_fork = pthread_atfork(nullptr, nullptr, [] { forked = true; });

const OpenMp& runtime() {
  static const OpenMp found = find();
  return found;
}

struct Job {
  int threads;
  void (*body)(void*, int);
  void* context;
  bool ran;
};

}  // namespace

bool run_on_openmp(int threads, void (*body)(void*, int), void* context) {
  const OpenMp& openmp = runtime();
  if (!openmp.parallel || forked) return false;
  Job job{threads, body, context, false};
  openmp.parallel(
      [](void* data) {
        Job& job = *static_cast<Job*>(data);
        if (runtime().thread_count() != job.threads) return;  // the same for all of them
        const int index = runtime().thread_number();
        if (index == 0) job.ran = true;
        job.body(job.context, index);
      },
      &job, (unsigned)threads, 0);
  return job.ran;
}

}  // namespace fastlstm

#else

namespace fastlstm {
bool run_on_openmp(int, void (*)(void*, int), void*) { return false; }
}  // namespace fastlstm

#endif
