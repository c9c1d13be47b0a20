// Matrix products for few rows, C (M, N) = A (M, K) B (K, N) [+ C], on the vector registers of the machine.
//
// A recurrence multiplies a few rows by the same weights at every step. B is packed once, in panels of PANEL columns that
// are read in order, and stays packed for the whole sequence; general BLAS libraries pack it again at each call.
// A block of up to ROWS x PANEL of C stays in registers while K runs. Source of the scheme: K. Goto and R. van de Geijn,
// 2008, "Anatomy of high-performance matrix multiplication".

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

template <typename T>
struct Lanes {
  typedef T Vector __attribute__((vector_size(64)));
  static constexpr int64_t count = 64 / sizeof(T);
  static constexpr int64_t panel = 2 * count;  // columns of a panel
};

constexpr int64_t ROWS = 8;
constexpr int64_t DEPTH = 256;  // how much of K at a time: a panel of it fits in the first-level cache
constexpr int64_t BLOCK = 64;   // rows of A that are packed together

template <typename T>
inline typename Lanes<T>::Vector load(const T* p) {
  typename Lanes<T>::Vector v;
  memcpy(&v, p, sizeof v);
  return v;
}

template <typename T>
inline void store(T* p, const typename Lanes<T>::Vector& v) {
  memcpy(p, &v, sizeof v);
}

template <typename T>
int64_t packed_size(int64_t k, int64_t n) {
  return (n + Lanes<T>::panel - 1) / Lanes<T>::panel * Lanes<T>::panel * k;
}

// B with strides (down, across) -> panels of (k, PANEL), the last one padded with zeros.
template <typename T>
void pack(const T* b, int64_t down, int64_t across, int64_t k, int64_t n, T* out) {
  constexpr int64_t panel = Lanes<T>::panel;
  for (int64_t first = 0; first < n; first += panel, out += k * panel) {
    const int64_t columns = std::min(panel, n - first);
    if (columns < panel) memset(out, 0, k * panel * sizeof(T));
    if (across == 1) {
      for (int64_t i = 0; i < k; i++) memcpy(out + i * panel, b + i * down + first, columns * sizeof(T));
    } else {
      for (int64_t from = 0; from < k; from += 16)
        for (int64_t j = 0; j < columns; j++)
          for (int64_t i = from; i < std::min(from + 16, k); i++) out[i * panel + j] = b[i * down + (first + j) * across];
    }
  }
}

// R rows of C times one panel. A has strides (down, across).
template <typename T, int R>
void tile(int64_t k, const T* a, int64_t down, int64_t across, const T* panel, T* c, int64_t ldc, int64_t columns, bool add) {
  typedef typename Lanes<T>::Vector Vector;
  constexpr int64_t n = Lanes<T>::count;
  Vector sum[R][2];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) sum[r][0] = sum[r][1] = Vector{};
  for (int64_t i = 0; i < k; i++, panel += 2 * n) {
    const Vector left = load(panel), right = load(panel + n);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const T value = a[r * down + i * across];
      sum[r][0] += left * value;
      sum[r][1] += right * value;
    }
  }
  for (int r = 0; r < R; r++) {
    T* row = c + r * ldc;
    if (columns == 2 * n) {
      store(row, add ? Vector(load(row) + sum[r][0]) : sum[r][0]);
      store(row + n, add ? Vector(load(row + n) + sum[r][1]) : sum[r][1]);
    } else {
      T whole[2 * n];
      store(whole, sum[r][0]);
      store(whole + n, sum[r][1]);
      for (int64_t j = 0; j < columns; j++) row[j] = add ? row[j] + whole[j] : whole[j];
    }
  }
}

template <typename T>
void rows_times_panel(int64_t rows, int64_t k, const T* a, int64_t down, int64_t across, const T* panel, T* c, int64_t ldc, int64_t columns,
                      bool add) {
  switch (rows) {
    case 1: return tile<T, 1>(k, a, down, across, panel, c, ldc, columns, add);
    case 2: return tile<T, 2>(k, a, down, across, panel, c, ldc, columns, add);
    case 3: return tile<T, 3>(k, a, down, across, panel, c, ldc, columns, add);
    case 4: return tile<T, 4>(k, a, down, across, panel, c, ldc, columns, add);
    case 5: return tile<T, 5>(k, a, down, across, panel, c, ldc, columns, add);
    case 6: return tile<T, 6>(k, a, down, across, panel, c, ldc, columns, add);
    case 7: return tile<T, 7>(k, a, down, across, panel, c, ldc, columns, add);
    default: return tile<T, 8>(k, a, down, across, panel, c, ldc, columns, add);
  }
}

// With B packed by `pack`: A is read where it lies.
template <typename T>
void multiply_packed(int64_t m, int64_t n, int64_t k, const T* a, int64_t down, int64_t across, const T* packed, T* c, int64_t ldc, bool add) {
  constexpr int64_t panel = Lanes<T>::panel;
  for (int64_t from = 0; from < k; from += DEPTH) {
    const int64_t depth = std::min(DEPTH, k - from);
    for (int64_t first = 0; first < n; first += panel)
      for (int64_t row = 0; row < m; row += ROWS)
        rows_times_panel<T>(std::min(ROWS, m - row), depth, a + row * down + from * across, down, across, packed + first * k + from * panel,
                            c + row * ldc + first, ldc, std::min(panel, n - first), add || from > 0);
  }
}

// Rows of A, ROWS of them side by side for each of K: what a tile reads at once lies together.
template <typename T>
void pack_rows(const T* a, int64_t down, int64_t across, int64_t height, int64_t depth, T* out) {
  for (int64_t top = 0; top < height; top += ROWS, out += depth * ROWS) {
    const int64_t count = std::min(ROWS, height - top);
    const T* from = a + top * down;
    if (down == 1 && count == ROWS) {
      for (int64_t i = 0; i < depth; i++) memcpy(out + i * ROWS, from + i * across, ROWS * sizeof(T));
    } else {
      for (int64_t i = 0; i < depth; i++)
        for (int64_t r = 0; r < count; r++) out[i * ROWS + r] = from[r * down + i * across];
    }
  }
}

// With any B: DEPTH rows of it are packed at a time. A is packed too where its rows are not contiguous.
template <typename T>
void multiply(int64_t m, int64_t n, int64_t k, const T* a, int64_t down, int64_t across, const T* b, int64_t b_down, int64_t b_across, T* c,
              int64_t ldc, bool add, std::vector<char>& scratch) {
  constexpr int64_t panel = Lanes<T>::panel;
  const int64_t room = packed_size<T>(std::min(DEPTH, k), n);
  scratch.resize((room + BLOCK * DEPTH) * sizeof(T) + 64);
  T* packed = (T*)(((uintptr_t)scratch.data() + 63) / 64 * 64);
  T* block = packed + room;
  for (int64_t from = 0; from < k; from += DEPTH) {
    const int64_t depth = std::min(DEPTH, k - from);
    pack(b + from * b_down, b_down, b_across, depth, n, packed);
    for (int64_t top = 0; top < m; top += BLOCK) {
      const int64_t height = std::min(BLOCK, m - top);
      const T* rows = a + top * down + from * across;
      int64_t rows_down = down, rows_across = across;
      if (across != 1) {
        pack_rows(rows, down, across, height, depth, block);
        rows = block, rows_down = 1, rows_across = ROWS;
      }
      for (int64_t first = 0; first < n; first += panel)
        for (int64_t row = 0; row < height; row += ROWS)
          rows_times_panel<T>(std::min(ROWS, height - row), depth, across != 1 ? rows + row * depth : rows + row * down, rows_down, rows_across,
                              packed + first * depth, c + (top + row) * ldc + first, ldc, std::min(panel, n - first), add || from > 0);
    }
  }
}
