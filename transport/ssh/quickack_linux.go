package ssh

import (
	"net"
	"syscall"
)

// tcpQuickAck is TCP_QUICKACK of tcp(7); package syscall has it for some
// architectures only.
const tcpQuickAck = 12

// quickAck returns a function that makes the kernel acknowledge at once what has
// arrived. sshd does not set TCP_NODELAY before a command runs, so it holds small
// packets back until the one before is acknowledged, which the kernel delays by
// 40 ms. The option does not last: every read and write may turn it off again.
func quickAck(c net.Conn) func() {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return func() {}
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return func() {}
	}
	set := func(fd uintptr) {
		// A socket that does not take the option is merely slower.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpQuickAck, 1)
	}
	return func() { _ = raw.Control(set) }
}
