// Replays a tape of kernel calls, matrix products and copies over time. It knows no cell and no library but C's.
//
// A chunk is a set of rows of the batch. Rows are independent, so chunks run on threads that never wait for each other.
// Buffer b of step s, at time t, lies at base[b] + t * stride[b] + (s odd ? swing[b] : 0).

#include <utility>

#include "gemm.h"

struct Chunk {
  const int64_t* program;
  const int64_t* base;
  const int64_t* stride;
  const int64_t* swing;
  int64_t length;
  int64_t buffers;
};

enum Operation : int64_t { KERNEL = 0, PRODUCT = 1, PACKED = 2, COPY = 3 };

template <size_t>
using Word = int64_t;

template <size_t... I>
static void call_with(void* kernel, const int64_t* a, std::index_sequence<I...>) {
  reinterpret_cast<void (*)(Word<I>...)>(kernel)(a[I]...);
}

// Surplus arguments are harmless in the calling conventions of Linux and macOS.
static void call(void* kernel, const int64_t* a, int64_t n) {
  if (n <= 8) call_with(kernel, a, std::make_index_sequence<8>());
  else if (n <= 16) call_with(kernel, a, std::make_index_sequence<16>());
  else if (n <= 32) call_with(kernel, a, std::make_index_sequence<32>());
  else call_with(kernel, a, std::make_index_sequence<64>());
}

// q: m, n, k, A (buffer, offset, down, across), B (the same), C (buffer, offset, down), add, count, and from one of `count`
// products to the next the bytes in A, B and C.
template <typename T>
static void product(const int64_t* q, const int64_t* at, std::vector<char>& scratch) {
  for (int64_t i = 0; i < q[15]; i++)
    multiply<T>(q[0], q[1], q[2], (const T*)(at[q[3]] + q[4] + i * q[16]), q[5], q[6], (const T*)(at[q[7]] + q[8] + i * q[17]), q[9], q[10],
                (T*)(at[q[11]] + q[12] + i * q[18]), q[13], q[14], scratch);
}

// q: m, n, k, A (buffer, offset, down, across), packed B (buffer), C (buffer, offset, down), add.
template <typename T>
static void packed_product(const int64_t* q, const int64_t* at) {
  multiply_packed<T>(q[0], q[1], q[2], (const T*)(at[q[3]] + q[4]), q[5], q[6], (const T*)at[q[7]], (T*)(at[q[8]] + q[9]), q[10], q[11]);
}

static void run(const Chunk& chunk, int64_t steps, bool reverse) {
  std::vector<int64_t> where(chunk.buffers);
  std::vector<char> scratch;
  int64_t arguments[64] = {0};
  int64_t* at = where.data();
  for (int64_t s = 0; s < steps; s++) {
    const int64_t t = reverse ? steps - 1 - s : s;
    for (int64_t b = 0; b < chunk.buffers; b++) at[b] = chunk.base[b] + t * chunk.stride[b] + (s & 1 ? chunk.swing[b] : 0);
    for (const int64_t *p = chunk.program, *end = p + chunk.length; p < end; p += p[1]) {
      const int64_t* q = p + 3;  // p[0] the operation, p[1] its length, p[2] whether numbers have 8 bytes
      switch (p[0]) {
        case KERNEL:
          for (int64_t i = 0; i < q[1]; i++) arguments[i] = q[2 + 2 * i] < 0 ? q[3 + 2 * i] : at[q[2 + 2 * i]] + q[3 + 2 * i];
          call((void*)q[0], arguments, q[1]);
          break;
        case PRODUCT:
          p[2] ? product<double>(q, at, scratch) : product<float>(q, at, scratch);
          break;
        case PACKED:
          p[2] ? packed_product<double>(q, at) : packed_product<float>(q, at);
          break;
        case COPY:
          for (int64_t row = 0; row < q[0]; row++)
            memcpy((void*)(at[q[2]] + q[3] + row * q[4]), (const void*)(at[q[5]] + q[6] + row * q[7]), q[1]);
      }
    }
  }
}

extern "C" void replay(const Chunk* chunks, int64_t count, int64_t steps, int64_t reverse) {
#pragma omp parallel for num_threads(count) schedule(static, 1) if (count > 1)
  for (int64_t i = 0; i < count; i++) run(chunks[i], steps, reverse);
}

extern "C" int64_t packed_bytes(int64_t wide, int64_t k, int64_t n) {
  return wide ? packed_size<double>(k, n) * 8 : packed_size<float>(k, n) * 4;
}

extern "C" void pack_weight(int64_t wide, const void* b, int64_t down, int64_t across, int64_t k, int64_t n, void* out) {
  wide ? pack((const double*)b, down, across, k, n, (double*)out) : pack((const float*)b, down, across, k, n, (float*)out);
}

// One large product, its rows spread over threads. q as for `product`, with addresses in the place of buffers, and add at the end.
template <typename T>
static void spread(const int64_t* q, int64_t threads) {
  const int64_t share = (q[0] + threads * ROWS - 1) / (threads * ROWS) * ROWS;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int64_t i = 0; i < threads; i++) {
    std::vector<char> scratch;
    const int64_t top = i * share, rows = std::min(share, q[0] - top);
    if (rows > 0)
      multiply<T>(rows, q[1], q[2], (const T*)q[3] + top * q[4], q[4], q[5], (const T*)q[6], q[7], q[8], (T*)q[9] + top * q[10], q[10], q[11], scratch);
  }
}

extern "C" void large_product(int64_t wide, const int64_t* q, int64_t threads) {
  wide ? spread<double>(q, threads) : spread<float>(q, threads);
}
