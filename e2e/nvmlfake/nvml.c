//go:build ignore

// (so that Go leaves this file to package nvmlfake, which compiles it)

/*
 * A stand-in for NVIDIA's libnvidia-ml.so.1: the functions that the probe
 * (cmd/agentlet-nvml) calls, answered from a JSON file instead of from cards:
 *
 *   {"driver": ["driver 550.54.15"], "gpus": [{"facts": ["name NVIDIA L4"], "instances": [["gi 1"]]}]}
 *
 * PHOENIX_NVML_FAKE names the file, which package nvmlfake writes. Where no such variable
 * is left, as on a host whose helper starts every program with an environment of its own,
 * it is /etc/nvmlfake. Each text is a word and its value, of the driver, of a card, or of
 * an instance of it. What has none is not supported. "fault FUNCTION CODE" has a function
 * return an NVML error, or with "hang", "abort" and "segv" in place of the code, do that.
 *
 * With -DNVMLFAKE_OLD it has none of the functions that came after driver 418: the
 * library of an old driver. The types and numbers are those of go-nvml's nvml.h.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvml.h"

#define LINES 512
#define CARDS 32
#define INSTANCES 16

struct nvmlDevice_st {
    char *lines[LINES];
    int count;
    int index;
    struct nvmlDevice_st *parent; /* of an instance */
    struct nvmlDevice_st *instances[INSTANCES];
    int instance_count;
};

static struct nvmlDevice_st driver, cards[CARDS];
static int card_count;

static const char *file(void)
{
    const char *path = getenv("PHOENIX_NVML_FAKE");
    return path ? path : "/etc/nvmlfake";
}

/* A text of the file, behind its first quotation mark. */
static char *quoted(FILE *f)
{
    char text[1024];
    size_t n = 0;
    int c;

    while ((c = fgetc(f)) != EOF && c != '"') {
        if (c == '\\')
            c = fgetc(f);
        if (n < sizeof text - 1)
            text[n++] = c;
    }
    text[n] = 0;
    return strdup(text);
}

/* Reads the file. A text in a list is a fact, any other a key; an object in a list is a
 * card, a list in a list an instance of it. */
static void load(void)
{
    FILE *f = fopen(file(), "r");
    struct nvmlDevice_st *at = &driver, *card = NULL;
    char open[16] = "";
    int depth = 0, c;

    memset(&driver, 0, sizeof driver);
    memset(cards, 0, sizeof cards);
    card_count = 0;
    if (!f)
        return;
    while ((c = fgetc(f)) != EOF) {
        int listed = depth > 0 && open[depth - 1] == '[';
        if (c == '"') {
            char *text = quoted(f);
            if (listed && at->count < LINES)
                at->lines[at->count++] = text;
        } else if (c == '{' && listed && card_count < CARDS) {
            card = at = &cards[card_count];
            card->index = card_count++;
        } else if (c == '[' && listed && card && card->instance_count < INSTANCES) {
            at = calloc(1, sizeof *at);
            at->parent = card;
            card->instances[card->instance_count++] = at;
        }
        if ((c == '{' || c == '[') && depth < (int)sizeof open)
            open[depth++] = c;
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
    }
    fclose(f);
}

/* The value of the nth text with a word, or NULL. */
static const char *nth(const struct nvmlDevice_st *d, const char *word, int n)
{
    size_t len = strlen(word);
    for (int i = 0; i < d->count; i++)
        if (!strncmp(d->lines[i], word, len) && d->lines[i][len] == ' ' && n-- == 0)
            return d->lines[i] + len + 1;
    return NULL;
}

static const char *value(const struct nvmlDevice_st *d, const char *word) { return nth(d, word, 0); }

/* What a function that is told to fail does. */
static nvmlReturn_t fault(const struct nvmlDevice_st *d, const char *function)
{
    const char *f;
    size_t len = strlen(function);
    for (int i = 0; (f = nth(d, "fault", i)); i++) {
        if (strncmp(f, function, len) || f[len] != ' ')
            continue;
        f += len + 1;
        if (!strcmp(f, "hang"))
            for (;;)
                pause();
        if (!strcmp(f, "abort"))
            abort();
        if (!strcmp(f, "segv"))
            *(volatile int *)8 = 1;
        return atoi(f);
    }
    return value(d, "lost") ? NVML_ERROR_GPU_IS_LOST : NVML_SUCCESS;
}

#define FAIL(d)                                     \
    do {                                            \
        nvmlReturn_t r = fault(d, __func__);        \
        if (r != NVML_SUCCESS)                      \
            return r;                               \
    } while (0)

static nvmlReturn_t text(const struct nvmlDevice_st *d, const char *word, char *to, unsigned int size)
{
    const char *v = value(d, word);
    if (!v)
        return NVML_ERROR_NOT_SUPPORTED;
    if (strlen(v) >= size)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(to, v);
    return NVML_SUCCESS;
}

/* Up to three numbers of one line. */
static int numbers(const char *v, unsigned long long *a, unsigned long long *b, unsigned long long *c)
{
    unsigned long long none;
    return v ? sscanf(v, "%llu %llu %llu", a, b ? b : &none, c ? c : &none) : 0;
}

static nvmlReturn_t number(const struct nvmlDevice_st *d, const char *word, unsigned int *to)
{
    unsigned long long n;
    if (numbers(value(d, word), &n, NULL, NULL) < 1)
        return NVML_ERROR_NOT_SUPPORTED;
    *to = n;
    return NVML_SUCCESS;
}

static nvmlReturn_t pair(const struct nvmlDevice_st *d, const char *word, unsigned int *one, unsigned int *two)
{
    unsigned long long a, b;
    if (numbers(value(d, word), &a, &b, NULL) < 2)
        return NVML_ERROR_NOT_SUPPORTED;
    *one = a;
    *two = b;
    return NVML_SUCCESS;
}

/* Each is noted in a file beside the other, so that a test can count them. */
static nvmlReturn_t init(const char *function)
{
    char path[1024];
    FILE *f;
    load();
    snprintf(path, sizeof path, "%s.inits", file());
    if ((f = fopen(path, "a"))) {
        fputs("init\n", f);
        fclose(f);
    }
    return fault(&driver, function);
}

/* The driver */

nvmlReturn_t nvmlInit(void) { return init(__func__); }
nvmlReturn_t nvmlInit_v2(void) { return init(__func__); }
nvmlReturn_t nvmlShutdown(void) { return NVML_SUCCESS; }

const char *nvmlErrorString(nvmlReturn_t r)
{
    static char other[32];
    switch (r) {
    case NVML_SUCCESS: return "Success";
    case NVML_ERROR_NOT_SUPPORTED: return "Not Supported";
    case NVML_ERROR_NO_PERMISSION: return "Insufficient Permissions";
    case NVML_ERROR_DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case NVML_ERROR_TIMEOUT: return "Timeout";
    case NVML_ERROR_GPU_IS_LOST: return "GPU is lost";
    case NVML_ERROR_LIB_RM_VERSION_MISMATCH: return "Driver/library version mismatch";
    case NVML_ERROR_UNKNOWN: return "Unknown Error";
    default:
        snprintf(other, sizeof other, "error %d", r);
        return other;
    }
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *to, unsigned int size) { FAIL(&driver); return text(&driver, "driver", to, size); }
nvmlReturn_t nvmlSystemGetNVMLVersion(char *to, unsigned int size) { FAIL(&driver); return text(&driver, "nvml", to, size); }
nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *to) { FAIL(&driver); return number(&driver, "cuda", (unsigned int *)to); }

/* The file is read again here, so that cards can change while the library is open. */
nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *to)
{
    load();
    FAIL(&driver);
    *to = card_count;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *to)
{
    if (index >= (unsigned int)card_count)
        return NVML_ERROR_INVALID_ARGUMENT;
    FAIL(&cards[index]);
    to->handle = &cards[index];
    return NVML_SUCCESS;
}

/* What a card is */

#define TEXT(function, word) \
    nvmlReturn_t function(nvmlDevice_t h, char *to, unsigned int size) { FAIL(h.handle); return text(h.handle, word, to, size); }
#define NUMBER(function, type, word) \
    nvmlReturn_t function(nvmlDevice_t h, type *to) { FAIL(h.handle); return number(h.handle, word, (unsigned int *)to); }

TEXT(nvmlDeviceGetName, "name")
TEXT(nvmlDeviceGetUUID, "uuid")
TEXT(nvmlDeviceGetSerial, "serial")
TEXT(nvmlDeviceGetVbiosVersion, "vbios")
NUMBER(nvmlDeviceGetMinorNumber, unsigned int, "minor")

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t h, nvmlPciInfo_t *to)
{
    const char *v;
    FAIL(h.handle);
    v = value(h.handle, "pci");
    memset(to, 0, sizeof *to);
    if (!v || sscanf(v, "%x:%x:%x.0 %x", &to->domain, &to->bus, &to->device, &to->pciDeviceId) < 4)
        return NVML_ERROR_NOT_SUPPORTED;
    snprintf(to->busId, sizeof to->busId, "%08X:%02X:%02X.0", to->domain, to->bus, to->device);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t h, int *major, int *minor)
{
    FAIL(h.handle);
    return pair(h.handle, "compute_capability", (unsigned int *)major, (unsigned int *)minor);
}

/* How a card is set and what it does */

NUMBER(nvmlDeviceGetPersistenceMode, nvmlEnableState_t, "persistence")
NUMBER(nvmlDeviceGetComputeMode, nvmlComputeMode_t, "compute_mode")
NUMBER(nvmlDeviceGetPerformanceState, nvmlPstates_t, "pstate")
NUMBER(nvmlDeviceGetFanSpeed, unsigned int, "fan")
NUMBER(nvmlDeviceGetPowerUsage, unsigned int, "power")
NUMBER(nvmlDeviceGetEnforcedPowerLimit, unsigned int, "power_limit")
NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, unsigned int, "power_default")

nvmlReturn_t nvmlDeviceGetPowerManagementLimitConstraints(nvmlDevice_t h, unsigned int *low, unsigned int *high)
{
    FAIL(h.handle);
    return pair(h.handle, "power_range", low, high);
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t h, nvmlUtilization_t *to)
{
    FAIL(h.handle);
    return pair(h.handle, "utilization", &to->gpu, &to->memory);
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t h, nvmlTemperatureSensors_t sensor, unsigned int *to)
{
    FAIL(h.handle);
    return sensor == NVML_TEMPERATURE_GPU ? number(h.handle, "temperature", to) : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDeviceGetTemperatureThreshold(nvmlDevice_t h, nvmlTemperatureThresholds_t which, unsigned int *to)
{
    unsigned int shutdown, slowdown;
    FAIL(h.handle);
    if (pair(h.handle, "temperature_limits", &shutdown, &slowdown) != NVML_SUCCESS || which > NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)
        return NVML_ERROR_NOT_SUPPORTED;
    *to = which == NVML_TEMPERATURE_THRESHOLD_SHUTDOWN ? shutdown : slowdown;
    return NVML_SUCCESS;
}

static nvmlReturn_t clock_of(const struct nvmlDevice_st *d, const char *word, nvmlClockType_t which, unsigned int *to)
{
    unsigned long long all[3];
    if (which > NVML_CLOCK_MEM || numbers(value(d, word), &all[0], &all[1], &all[2]) < 3)
        return NVML_ERROR_NOT_SUPPORTED;
    *to = all[which];
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t h, nvmlClockType_t which, unsigned int *to) { FAIL(h.handle); return clock_of(h.handle, "clocks", which, to); }
nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t h, nvmlClockType_t which, unsigned int *to) { FAIL(h.handle); return clock_of(h.handle, "max_clocks", which, to); }

nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t h, unsigned long long *to)
{
    FAIL(h.handle);
    return numbers(value(h.handle, "throttle"), to, NULL, NULL) < 1 ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS;
}

/* "memory TOTAL USED RESERVED", in bytes. The old function counts the reserved as used. */
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t h, nvmlMemory_t *to)
{
    unsigned long long reserved;
    FAIL(h.handle);
    if (numbers(value(h.handle, "memory"), &to->total, &to->used, &reserved) < 3)
        return NVML_ERROR_NOT_SUPPORTED;
    to->used += reserved;
    to->free = to->total - to->used;
    return NVML_SUCCESS;
}

/* How well it is */

nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t h, nvmlEnableState_t *now, nvmlEnableState_t *pending)
{
    FAIL(h.handle);
    return pair(h.handle, "ecc", now, pending);
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t h, nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter, unsigned long long *to)
{
    unsigned long long corrected, uncorrected;
    FAIL(h.handle);
    if (numbers(value(h.handle, counter == NVML_VOLATILE_ECC ? "ecc_volatile" : "ecc_aggregate"), &corrected, &uncorrected, NULL) < 2)
        return NVML_ERROR_NOT_SUPPORTED;
    *to = type == NVML_MEMORY_ERROR_TYPE_CORRECTED ? corrected : uncorrected;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetRetiredPages(nvmlDevice_t h, nvmlPageRetirementCause_t cause, unsigned int *count, unsigned long long *to)
{
    unsigned int pages[2];
    FAIL(h.handle);
    if (pair(h.handle, "retired_pages", &pages[0], &pages[1]) != NVML_SUCCESS || cause > 1)
        return NVML_ERROR_NOT_SUPPORTED;
    if (*count < pages[cause]) {
        *count = pages[cause];
        return NVML_ERROR_INSUFFICIENT_SIZE;
    }
    *count = pages[cause];
    for (unsigned int i = 0; i < *count; i++)
        to[i] = 4096ULL * i;
    return NVML_SUCCESS;
}

NUMBER(nvmlDeviceGetRetiredPagesPendingStatus, nvmlEnableState_t, "retired_pending")

/* "nvlink ACTIVE VERSION PCI-ADDRESS", one line for each link */
nvmlReturn_t nvmlDeviceGetNvLinkState(nvmlDevice_t h, unsigned int link, nvmlEnableState_t *to)
{
    FAIL(h.handle);
    if (!value(h.handle, "nvlink"))
        return NVML_ERROR_NOT_SUPPORTED;
    if (!nth(h.handle, "nvlink", link))
        return NVML_ERROR_INVALID_ARGUMENT;
    *to = atoi(nth(h.handle, "nvlink", link));
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkVersion(nvmlDevice_t h, unsigned int link, unsigned int *to)
{
    const char *v = nth(h.handle, "nvlink", link);
    FAIL(h.handle);
    return v && sscanf(v, "%*u %u", to) == 1 ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t h, unsigned int link, nvmlPciInfo_t *to)
{
    const char *v = nth(h.handle, "nvlink", link);
    FAIL(h.handle);
    memset(to, 0, sizeof *to);
    return v && sscanf(v, "%*u %*u %x:%x:%x.0", &to->domain, &to->bus, &to->device) == 3 ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

/* Who uses it: "process TYPE PID BYTES GI CI", with - for what is not there */

struct found {
    unsigned int pid, gi, ci;
    unsigned long long bytes;
};

static unsigned int find(const struct nvmlDevice_st *d, const char *type, struct found *to, unsigned int room)
{
    unsigned int n = 0;
    const char *v;
    char kind[16], bytes[24], gi[16], ci[16];
    for (int i = 0; (v = nth(d, "process", i)); i++) {
        unsigned int pid;
        if (sscanf(v, "%15s %u %23s %15s %15s", kind, &pid, bytes, gi, ci) < 5 || strcmp(kind, type))
            continue;
        if (n < room) {
            to[n].pid = pid;
            to[n].bytes = *bytes == '-' ? ~0ULL : strtoull(bytes, NULL, 10);
            to[n].gi = *gi == '-' ? ~0U : (unsigned int)atoi(gi);
            to[n].ci = *ci == '-' ? ~0U : (unsigned int)atoi(ci);
        }
        n++;
    }
    return n;
}

#define PROCESSES(function, type, struct_type, assign)                                     \
    nvmlReturn_t function(nvmlDevice_t h, unsigned int *count, struct_type *to)            \
    {                                                                                      \
        struct found all[64];                                                              \
        unsigned int n, room = *count;                                                     \
        FAIL(h.handle);                                                                           \
        *count = n = find(h.handle, type, all, 64);                                               \
        if (n > room)                                                                      \
            return NVML_ERROR_INSUFFICIENT_SIZE;                                           \
        for (unsigned int i = 0; i < n; i++) {                                             \
            to[i].pid = all[i].pid;                                                        \
            to[i].usedGpuMemory = all[i].bytes;                                            \
            assign;                                                                        \
        }                                                                                  \
        return NVML_SUCCESS;                                                               \
    }
#define INSTANCE (to[i].gpuInstanceId = all[i].gi, to[i].computeInstanceId = all[i].ci)

PROCESSES(nvmlDeviceGetComputeRunningProcesses, "compute", nvmlProcessInfo_v1_t, (void)0)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses, "graphics", nvmlProcessInfo_v1_t, (void)0)

#ifndef NVMLFAKE_OLD

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *to) { FAIL(&driver); return number(&driver, "cuda", (unsigned int *)to); }

PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, "compute", nvmlProcessInfo_t, INSTANCE)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, "graphics", nvmlProcessInfo_t, INSTANCE)
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3, "mps", nvmlProcessInfo_t, INSTANCE)

NUMBER(nvmlDeviceGetArchitecture, nvmlDeviceArchitecture_t, "architecture")
NUMBER(nvmlDeviceGetNumFans, unsigned int, "fans")

nvmlReturn_t nvmlDeviceGetFanSpeed_v2(nvmlDevice_t h, unsigned int fan, unsigned int *to)
{
    const char *v = nth(h.handle, "fan", fan);
    FAIL(h.handle);
    if (!v)
        return NVML_ERROR_INVALID_ARGUMENT;
    *to = atoi(v);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t h, unsigned long long *to)
{
    FAIL(h.handle);
    return numbers(value(h.handle, "throttle"), to, NULL, NULL) < 1 ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t h, nvmlMemory_v2_t *to)
{
    FAIL(h.handle);
    if (to->version != nvmlMemory_v2)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (numbers(value(h.handle, "memory"), &to->total, &to->used, &to->reserved) < 3)
        return NVML_ERROR_NOT_SUPPORTED;
    to->free = to->total - to->used - to->reserved;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t h, unsigned int *corrected, unsigned int *uncorrected, unsigned int *pending, unsigned int *failed)
{
    const char *v = value(h.handle, "remapped_rows");
    FAIL(h.handle);
    return v && sscanf(v, "%u %u %u %u", corrected, uncorrected, pending, failed) == 4 ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

/* Its instances */

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t h, unsigned int *now, unsigned int *pending)
{
    FAIL(h.handle);
    return pair(h.handle, "mig_mode", now, pending);
}

NUMBER(nvmlDeviceGetMaxMigDeviceCount, unsigned int, "mig_max")
NUMBER(nvmlDeviceGetGpuInstanceId, unsigned int, "gi")
NUMBER(nvmlDeviceGetComputeInstanceId, unsigned int, "ci")

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t h, unsigned int index, nvmlDevice_t *to)
{
    FAIL(h.handle);
    if (index >= (unsigned int)h.handle->instance_count || value(h.handle->instances[index], "hole"))
        return NVML_ERROR_NOT_FOUND;
    to->handle = h.handle->instances[index];
    return NVML_SUCCESS;
}

/* "slices GI CI MEGABYTES" */
nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t h, nvmlDeviceAttributes_t *to)
{
    unsigned long long gi, ci;
    FAIL(h.handle);
    memset(to, 0, sizeof *to);
    if (numbers(value(h.handle, "slices"), &gi, &ci, &to->memorySizeMB) < 3)
        return NVML_ERROR_NOT_SUPPORTED;
    to->gpuInstanceSliceCount = gi;
    to->computeInstanceSliceCount = ci;
    return NVML_SUCCESS;
}

#endif
