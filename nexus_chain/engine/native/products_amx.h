/* Many rows times turned columns with AMX: the tile registers of Intel's server processors since 2023.
 *
 * A tile product multiplies 16 rows by 16 columns over 64 bytes, exactly, signed by signed: sums begin at 0.
 * The system lets a process use the tiles after it has asked; where it says no, products_vnni.h goes on alone.
 */
#ifndef NEXUS_PRODUCTS_AMX_H
#define NEXUS_PRODUCTS_AMX_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AMX_ROWS 16
#define REQUEST_STATE 0x1023 /* arch_prctl: ask for a part of the processor's state */
#define TILE_DATA 18

typedef struct {
    uint8_t palette, start, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} TileShapes;

/* Whether tiles may be used: asked once, before threads need the answer. */
static int amx_allowed(void) {
    static int allowed = -1;
    if (allowed < 0) allowed = syscall(SYS_arch_prctl, REQUEST_STATE, TILE_DATA) == 0;
    return allowed;
}

/* Sums are tiles 0 to 3, the rows tile 4, the columns tiles 5 to 7. `rows` of the 16 are used. */
static void amx_begin(int64_t rows) {
    TileShapes shapes;
    memset(&shapes, 0, sizeof shapes);
    shapes.palette = 1;
    for (int i = 0; i < 8; i++) {
        shapes.row_bytes[i] = 64;
        shapes.rows[i] = i < 5 ? (uint8_t)rows : 16;
    }
    _tile_loadconfig(&shapes);
}

/* out[r, 0..64) (+)= rows x[r] of `lines` times 64 bytes, times 64 turned columns. `first`: out holds nothing yet. */
static void amx_tile(const int8_t *x, int64_t ldx, const uint8_t *turned, int64_t lines, int first, int32_t *out,
                     int64_t ldo) {
    const int64_t stride = ldo * 4;
    __asm__ volatile("" ::: "memory"); /* tiles are loaded behind the compiler's back: what they read must be stored */
    if (first) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, out, stride);
        _tile_loadd(1, out + 16, stride);
        _tile_loadd(2, out + 32, stride);
        _tile_loadd(3, out + 48, stride);
    }
    for (int64_t i = 0; i < lines; i++, turned += 16 * 256) {
        _tile_loadd(4, x + 64 * i, ldx);
        _tile_loadd(5, turned, 256);
        _tile_dpbssd(0, 4, 5);
        _tile_loadd(6, turned + 64, 256);
        _tile_dpbssd(1, 4, 6);
        _tile_loadd(7, turned + 128, 256);
        _tile_dpbssd(2, 4, 7);
        _tile_loadd(5, turned + 192, 256);
        _tile_dpbssd(3, 4, 5);
    }
    _tile_stored(0, out, stride);
    _tile_stored(1, out + 16, stride);
    _tile_stored(2, out + 32, stride);
    _tile_stored(3, out + 48, stride);
}

/* The distance between rows, or 0 if it is not the same everywhere. */
static int64_t even_stride(const int8_t *const *x, int64_t rows) {
    const int64_t stride = x[1] - x[0];
    int64_t even = stride > 0;
    for (int64_t r = 1; r < rows; r++) even &= x[r] - x[r - 1] == stride;
    return even ? stride : 0;
}

#endif
