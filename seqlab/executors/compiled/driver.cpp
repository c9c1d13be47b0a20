// Replays a tape of kernel calls, matrix products and copies over time. It knows no cell and no library but C's.
//
// A chunk is a set of rows of the batch. Rows are independent, so chunks run on threads that never wait for each other.
// Buffer b of step s, at time t, lies at base[b] + t * stride[b] + (s odd ? swing[b] : 0).

#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

typedef void (*Sgemm)(const char*, const char*, const int*, const int*, const int*, const float*, const float*, const int*,
                      const float*, const int*, const float*, float*, const int*);
typedef void (*Dgemm)(const char*, const char*, const int*, const int*, const int*, const double*, const double*, const int*,
                      const double*, const int*, const double*, double*, const int*);
typedef int (*SetThreads)(int);

struct Chunk {
  const int64_t* program;
  const int64_t* base;
  const int64_t* stride;
  const int64_t* swing;
  int64_t length;
  int64_t buffers;
};

struct Blas {
  Sgemm sgemm;
  Dgemm dgemm;
  SetThreads set_threads;  // of this thread alone; may be null
};

enum Operation : int64_t { KERNEL = 0, PRODUCT = 1, COPY = 2 };

template <size_t>
using Word = int64_t;

template <size_t... I>
void call_with(void* kernel, const int64_t* a, std::index_sequence<I...>) {
  reinterpret_cast<void (*)(Word<I>...)>(kernel)(a[I]...);
}

// Surplus arguments are harmless in the calling conventions of Linux and macOS.
static void call(void* kernel, const int64_t* a, int64_t n) {
  if (n <= 8) call_with(kernel, a, std::make_index_sequence<8>());
  else if (n <= 16) call_with(kernel, a, std::make_index_sequence<16>());
  else if (n <= 32) call_with(kernel, a, std::make_index_sequence<32>());
  else call_with(kernel, a, std::make_index_sequence<64>());
}

// C (M, N) = A (M, K) B (K, N) + beta C, all with rows contiguous or, where transposed, columns. BLAS counts columns
// first, so it is given Cᵀ = Bᵀ Aᵀ.
static void product(const Blas& blas, const int64_t* q, const std::vector<int64_t>& at) {
  const bool wide = q[0];
  const char *ta = q[1] ? "T" : "N", *tb = q[2] ? "T" : "N";
  const int m = q[3], n = q[4], k = q[5], lda = q[8], ldb = q[11], ldc = q[14];
  const int64_t batch = q[16], next_a = q[17], next_b = q[18], next_c = q[19];
  for (int64_t i = 0; i < batch; i++) {
    const int64_t a = at[q[6]] + q[7] + i * next_a, b = at[q[9]] + q[10] + i * next_b, c = at[q[12]] + q[13] + i * next_c;
    if (wide) {
      const double one = 1, beta = q[15];
      blas.dgemm(tb, ta, &n, &m, &k, &one, (const double*)b, &ldb, (const double*)a, &lda, &beta, (double*)c, &ldc);
    } else {
      const float one = 1, beta = q[15];
      blas.sgemm(tb, ta, &n, &m, &k, &one, (const float*)b, &ldb, (const float*)a, &lda, &beta, (float*)c, &ldc);
    }
  }
}

static void run(const Chunk& chunk, const Blas& blas, int64_t steps, bool reverse) {
  std::vector<int64_t> at(chunk.buffers);
  int64_t arguments[64] = {0};
  for (int64_t s = 0; s < steps; s++) {
    const int64_t t = reverse ? steps - 1 - s : s;
    for (int64_t b = 0; b < chunk.buffers; b++) at[b] = chunk.base[b] + t * chunk.stride[b] + (s & 1 ? chunk.swing[b] : 0);
    for (const int64_t *p = chunk.program, *end = p + chunk.length; p < end;) {
      const int64_t* q = p + 2;  // p[0] the operation, p[1] its length
      if (p[0] == KERNEL) {
        const int64_t n = q[1];
        for (int64_t i = 0; i < n; i++) arguments[i] = q[2 + 2 * i] < 0 ? q[3 + 2 * i] : at[q[2 + 2 * i]] + q[3 + 2 * i];
        call((void*)q[0], arguments, n);
      } else if (p[0] == PRODUCT) {
        product(blas, q, at);
      } else {
        for (int64_t row = 0; row < q[0]; row++)
          memcpy((void*)(at[q[2]] + q[3] + row * q[4]), (const void*)(at[q[5]] + q[6] + row * q[7]), q[1]);
      }
      p += p[1];
    }
  }
}

extern "C" void replay(const Chunk* chunks, int64_t count, int64_t steps, int64_t reverse, const Blas* blas) {
#pragma omp parallel for num_threads(count) schedule(static, 1) if (count > 1)
  for (int64_t i = 0; i < count; i++) {
    const int before = blas->set_threads ? blas->set_threads(1) : 0;
    run(chunks[i], *blas, steps, reverse);
    if (blas->set_threads) blas->set_threads(before);
  }
}
