/* Roots of the trees over a model's weights, for the page: it hashes all of them before it computes with them.
 *
 * SHA-256 by FIPS 180-4; trees by RFC 9162: leaf = H(0x00 || data), node = H(0x01 || left || right). The twin of
 * nexus_chain/commitments/merkle.py, which hashes with the processor's own instructions.
 */
#include <stdint.h>
#include <string.h>

#define DIGEST 32
#define BLOCK 64
#define LEVELS 40 /* more leaves than memory holds */

static const uint32_t ROUND[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turn(uint32_t x, int by) { return x >> by | x << (32 - by); }

static uint32_t big_endian(const uint8_t *at) {
    uint32_t x;
    memcpy(&x, at, 4);
    return __builtin_bswap32(x);
}

static void compress(uint32_t *state, const uint8_t *block) {
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++) w[i] = big_endian(block + 4 * i);
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
               (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        const uint32_t mixed = s[7] + (turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + ROUND[i] + w[i];
        const uint32_t majority = (turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        s[7] = s[6], s[6] = s[5], s[5] = s[4], s[4] = s[3] + mixed;
        s[3] = s[2], s[2] = s[1], s[1] = s[0], s[0] = mixed + majority;
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
}

/* H(prefix || data[0, n)) */
static void hash(uint8_t prefix, const uint8_t *data, uint64_t n, uint8_t *out) {
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t block[2 * BLOCK] = {prefix};
    uint64_t at = 0, rest;
    if (n >= BLOCK - 1) {
        memcpy(block + 1, data, BLOCK - 1);
        compress(state, block);
        for (at = BLOCK - 1; at + BLOCK <= n; at += BLOCK) compress(state, data + at);
        memset(block, 0, sizeof block);
    }
    rest = at ? n - at : n + 1; /* bytes in the last block, the prefix among them where it is the first */
    memcpy(block + rest - (n - at), data + at, n - at);
    block[rest] = 0x80;
    const uint64_t end = rest < BLOCK - 8 ? BLOCK : 2 * BLOCK, bits = __builtin_bswap64((n + 1) * 8);
    memcpy(block + end - 8, &bits, 8);
    for (uint64_t done = 0; done < end; done += BLOCK) compress(state, block + done);
    for (int i = 0; i < 8; i++) {
        const uint32_t word = __builtin_bswap32(state[i]);
        memcpy(out + 4 * i, &word, 4);
    }
}

/* Root over the leaves of `leaf` bytes, the last of which may be shorter; `bytes` and `leaf` are at least 1. */
void nexus_tree_root(const uint8_t *data, uint64_t bytes, uint64_t leaf, uint8_t *out) {
    uint8_t parts[LEVELS + 1][DIGEST]; /* roots of the perfect subtrees so far, the largest first */
    uint64_t count = 0, depth = 0;
    for (uint64_t at = 0; at < bytes; at += leaf) {
        hash(0, data + at, bytes - at < leaf ? bytes - at : leaf, parts[depth++]);
        count++;
        for (uint64_t filled = count; !(filled & 1); filled >>= 1, depth--) hash(1, parts[depth - 2], 2 * DIGEST, parts[depth - 2]);
    }
    for (; depth > 1; depth--) hash(1, parts[depth - 2], 2 * DIGEST, parts[depth - 2]);
    memcpy(out, parts[0], DIGEST);
}
