// Borrowing the threads of an OpenMP runtime that another library has loaded.
//
// torch's OpenMP threads spin for a while after each of its parallel regions. Threads of our own would have
// to compete with them for the cores, and with two cores that costs more than the work itself; so we run on
// the same threads.
#pragma once

namespace fastlstm {

// As run_parallel, on OpenMP's threads. Does nothing and returns false where there is no such runtime, where
// it does not have that many threads to give (inside one of its own regions, say), or in a forked child,
// whose copy of the runtime has lost its threads.
bool run_on_openmp(int threads, void (*body)(void* context, int index), void* context);

}  // namespace fastlstm
