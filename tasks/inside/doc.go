// Package inside is the inside of a running container as a tasks.Host: a family works on
// it as it would on the machine.
//
// The helper on the machine starts a copy of itself in the container through lxc-attach
// and speaks with it over its standard streams, one request at a time. The copy goes in
// over stdin, never through a path of the container that the machine would follow, and
// takes itself away before it serves: a container keeps nothing of it.
//
// The container is not trusted. What comes from it is bounded and checked here, so that
// one that lies, floods, hangs or dies fails its own step and no other. What it can do is
// to lie about itself.
//
// Start reading at Containers (on the machine) and Serve (in the container).
package inside
