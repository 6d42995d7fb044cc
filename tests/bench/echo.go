// An echo server and many goroutines: Go's share of loop.py.
//
//	echo serve       prints its port, serves until it is killed
//	echo spawn N     starts N goroutines and waits until all have ended
//	echo sleepers N  has N of them sleep for a second
//	echo asleep N    looks at the memory while N of them sleep
//
// All but the first print a line of JSON.  The driver sets GOMAXPROCS to 1,
// for greenlets have one processor too.
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	if os.Args[1] == "serve" {
		serve()
		return
	}
	count, err := strconv.Atoi(os.Args[2])
	check(err)
	works := map[string]func(int){
		"spawn":    func(n int) { cpu(n, func() {}) },
		"sleepers": func(n int) { cpu(n, func() { time.Sleep(time.Second) }) },
		"asleep":   asleep,
	}
	works[os.Args[1]](count)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func serve() {
	time.AfterFunc(600*time.Second, func() { os.Exit(1) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		connection, err := listener.Accept()
		check(err)
		go echo(connection) // it has set TCP_NODELAY
	}
}

func echo(connection net.Conn) {
	defer connection.Close()
	buffer := make([]byte, 8192)
	for {
		size, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err = connection.Write(buffer[:size]); err != nil {
			return
		}
	}
}

// cpu runs count goroutines and prints what CPU time all took.
func cpu(count int, run func()) {
	var all sync.WaitGroup
	before := seconds()
	all.Add(count)
	for i := 0; i < count; i++ {
		go func() { run(); all.Done() }()
	}
	all.Wait()
	fmt.Printf("{\"units\": %d, \"cpu\": %g}\n", count, seconds()-before)
}

func asleep(count int) {
	var begun sync.WaitGroup
	before := resident()
	begun.Add(count)
	for i := 0; i < count; i++ {
		go func() { begun.Done(); time.Sleep(time.Hour) }()
	}
	begun.Wait()
	runtime.Gosched()
	took := resident() - before
	fmt.Printf("{\"units\": %d, \"kilobytes\": %g}\n", count, took)
}

func seconds() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func resident() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	check(err)
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	check(err)
	return float64(pages*os.Getpagesize()) / 1024
}
