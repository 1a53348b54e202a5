package library

import (
	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"phoenix/tasks/gpufacts"
)

func ecc(c *card) {
	if !c.has("nvmlDeviceGetEccMode") {
		return
	}
	now, pending, r := c.dev.GetEccMode()
	if !c.ok("nvmlDeviceGetEccMode", r) {
		return
	}
	then := pending == nvml.FEATURE_ENABLED
	c.gpu.ECC = &gpufacts.ECC{Enabled: now == nvml.FEATURE_ENABLED, Pending: &then}
	if c.gpu.ECC.Enabled {
		c.gpu.ECC.Volatile = eccErrors(c, nvml.VOLATILE_ECC)
		c.gpu.ECC.Aggregate = eccErrors(c, nvml.AGGREGATE_ECC)
	}
}

func eccErrors(c *card, counter nvml.EccCounterType) *gpufacts.ECCErrors {
	count := func(kind nvml.MemoryErrorType) *uint64 {
		n, ok := ask(c, "nvmlDeviceGetTotalEccErrors", func() (uint64, nvml.Return) { return c.dev.GetTotalEccErrors(kind, counter) })
		if !ok {
			return nil
		}
		return &n
	}
	e := gpufacts.ECCErrors{Corrected: count(nvml.MEMORY_ERROR_TYPE_CORRECTED), Uncorrected: count(nvml.MEMORY_ERROR_TYPE_UNCORRECTED)}
	if e == (gpufacts.ECCErrors{}) {
		return nil
	}
	return &e
}

func rowRemapping(c *card) {
	if !c.has("nvmlDeviceGetRemappedRows") {
		return
	}
	corrected, uncorrected, pending, failed, r := c.dev.GetRemappedRows()
	if c.ok("nvmlDeviceGetRemappedRows", r) {
		c.gpu.RowRemapping = &gpufacts.RowRemapping{Corrected: corrected, Uncorrected: uncorrected, Pending: &pending, Failed: &failed}
	}
}

func retiredPages(c *card) {
	count := func(cause nvml.PageRetirementCause) *int {
		pages, ok := ask(c, "nvmlDeviceGetRetiredPages", with(c.dev.GetRetiredPages, cause))
		if !ok {
			return nil
		}
		n := len(pages)
		return &n
	}
	p := gpufacts.RetiredPages{
		SingleBit: count(nvml.PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS),
		DoubleBit: count(nvml.PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR),
	}
	if s, ok := ask(c, "nvmlDeviceGetRetiredPagesPendingStatus", c.dev.GetRetiredPagesPendingStatus); ok {
		pending := s == nvml.FEATURE_ENABLED
		p.Pending = &pending
	}
	if p != (gpufacts.RetiredPages{}) {
		c.gpu.RetiredPages = &p
	}
}

// nvlinks asks for one link after another: a card that has none, or no more, says that
// the number is wrong or that it does not support links.
func nvlinks(c *card) {
	const state = "nvmlDeviceGetNvLinkState"
	for i := range nvml.NVLINK_MAX_LINKS {
		if !c.has(state) {
			return
		}
		s, r := c.dev.GetNvLinkState(i)
		if r == nvml.ERROR_INVALID_ARGUMENT || !c.ok(state, r) {
			return
		}
		link := gpufacts.NVLink{Link: i, Active: s == nvml.FEATURE_ENABLED}
		if link.Active {
			link.Version = number(c, "nvmlDeviceGetNvLinkVersion", with(c.dev.GetNvLinkVersion, i))
			if c.has("nvmlDeviceGetNvLinkRemotePciInfo_v2", "nvmlDeviceGetNvLinkRemotePciInfo") {
				if p, r := c.dev.GetNvLinkRemotePciInfo(i); c.ok("nvmlDeviceGetNvLinkRemotePciInfo", r) {
					link.Remote = address(p)
				}
			}
		}
		c.gpu.NVLinks = append(c.gpu.NVLinks, link)
	}
}
