using Vfio.Abi;
using Vfio.Devices.Nvme.Tests.Harness;
using Vfio.TestUtilities;

namespace Vfio.Devices.Nvme.Tests.Backends;

/// <summary>The NBD client against servers that misbehave, die and come back.</summary>
public sealed class NbdTests
{
    private const string Impatient = "&timeout=0.5&reconnect-delay=1";

    [Theory]
    [InlineData("nbd:host", "nbd://HOST")]
    [InlineData("nbd://", "nbd://HOST")]
    [InlineData("nbd://host:0", "1 to 65535")]
    [InlineData("nbd://host:port", "1 to 65535")]
    [InlineData("nbd+unix:///export", "socket=PATH")]
    [InlineData("nbd+unix://export?socket=/x", "three slashes")]
    [InlineData("nbd://host?socket=/x", "socket is not known")]
    [InlineData("nbd://host?timeout=0", "timeout")]
    [InlineData("nbd://host?reconnect-delay=never", "reconnect-delay")]
    [InlineData("nbds://host", "TLS")]
    public void Uri_with_a_mistake_says_what_is_accepted(string text, string part)
        => Assert.Contains(part, Assert.Throws<FormatException>(() => NvmeBackendUri.Parse(text)).Message);

    [Fact]
    public void Server_that_is_not_there_is_named_with_what_came_back()
    {
        IOException unix = Assert.Throws<IOException>(() => NvmeBackendUri.Parse("nbd+unix:///x?socket=/nowhere/s").Open());
        IOException name = Assert.Throws<IOException>(() => NvmeBackendUri.Parse("nbd://no-such-host.invalid/x").Open());
        IOException tcp = Assert.Throws<IOException>(() => NvmeBackendUri.Parse("nbd://127.0.0.1:1/x").Open());

        Assert.Contains("ENOENT", unix.Message);
        Assert.Contains("was not found", name.Message);
        Assert.Contains("ECONNREFUSED", tcp.Message);
        Assert.All([unix, name, tcp], error => Assert.Contains("open-timeout", error.Message));
    }

    public static TheoryData<string, string> Negotiations => new()
    {
        { "nothing", "before it had said" },
        { "http", "not NBD" },
        { "oldstyle", "old style" },
        { "notfixed", "old style" },
        { "wrongmagic", "not NBD" },
        { "wrongoption", "not NBD" },
        { "longreply", "not NBD" },
        { "endless", "more than" },
        { "shortexport", "cut short" },
        { "shortblocks", "cut short" },
        { "noexport", "without saying how long" },
        { "unknown", "no export ''; it says: gone?fishing" },
        { "tls", "TLS" },
        { "old", "NBD_OPT_GO" },
        { "zeroblock", "blocks of 0" },
        { "oddblock", "blocks of 3" },
        { "hugeblock", "blocks of 2147483648" },
        { "smallpayload", "blocks of 1 to 100" },
        { "tiny", "4095 bytes" },
        { "enormous", "18446744073709551615 bytes" },
        { "silent", "within 1 s" },
        { "drip", "within 1 s" },
    };

    [Theory]
    [MemberData(nameof(Negotiations))]
    public void Negotiation_that_goes_wrong_is_an_error_and_an_end(string kind, string part)
    {
        using var script = new NbdScript((server, _) =>
        {
            switch (kind)
            {
                case "nothing": return;
                case "http": server.Say("HTTP/1.1 400 Bad Request\r\n\r\n"u8.ToArray()); break;
                case "oldstyle": server.Say(NbdScript.Big64(0x4e42444d41474943), NbdScript.Big64(0x00420281861253), new byte[136]); break;
                case "notfixed": server.Say(NbdScript.Big64(0x4e42444d41474943), NbdScript.Big64(0x49484156454f5054), NbdScript.Big16(0)); break;
                case "silent": server.Greet(); break;
                case "drip":
                    server.Greet();
                    for (int i = 0; i < 100; i++)
                    {
                        server.SayOption(3, [0, 99]);
                        Thread.Sleep(50);
                    }

                    break;
                case "wrongmagic": server.Greet(); server.Say(new byte[20]); break;
                case "wrongoption": server.Greet(); server.Say(NbdScript.Big64(0x3e889045565a9), NbdScript.Big32(6), NbdScript.Big32(1), NbdScript.Big32(0)); break;
                case "longreply": server.Greet(); server.Say(NbdScript.Big64(0x3e889045565a9), NbdScript.Big32(7), NbdScript.Big32(3), NbdScript.Big32(uint.MaxValue)); break;
                case "endless":
                    server.Greet();
                    for (int i = 0; i < 100; i++)
                    {
                        server.SayOption(3, [0, 99]);
                    }

                    break;
                case "shortexport": server.Greet(); server.SayOption(3, [0, 0, 1, 2, 3]); break;
                case "shortblocks": server.Greet(); server.SayOption(3, [0, 3, 1, 2, 3]); break;
                case "noexport": server.Greet(); server.SayOption(1, []); break;
                case "unknown": server.Greet(); server.SayOption(0x8000_0006, "gone\nfishing"u8.ToArray()); break;
                case "tls": server.Greet(); server.SayOption(0x8000_0005, []); break;
                case "old": server.Greet(); server.SayOption(0x8000_0001, []); break;
                case "zeroblock": server.Negotiate(minimum: 0); break;
                case "oddblock": server.Negotiate(minimum: 3); break;
                case "hugeblock": server.Negotiate(minimum: 1U << 31, maximum: uint.MaxValue); break;
                case "smallpayload": server.Negotiate(maximum: 100); break;
                case "tiny": server.Negotiate(length: 4095); break;
                case "enormous": server.Negotiate(length: ulong.MaxValue); break;
                default: Assert.Fail(kind); break;
            }

            server.AwaitEnd();
        });

        IOException error = Assert.Throws<IOException>(() => NvmeBackendUri.Parse(script.Uri + "&timeout=1").Open());

        Assert.Contains(part, error.Message);
    }

    [Theory]
    [InlineData("magic")]
    [InlineData("cookie")]
    [InlineData("index")]
    [InlineData("twice")]
    [InlineData("cut")]
    [InlineData("shutdown")]
    [InlineData("silent")]
    [InlineData("close")]
    public void Server_that_answers_wrongly_loses_its_connection_and_the_request_goes_to_the_next(string kind)
    {
        byte[] memory = new byte[1 << 20];
        using var script = new NbdScript((server, number) =>
        {
            server.Negotiate();
            if (number == 0)
            {
                NbdScriptRequest request = server.TakeRequest();
                switch (kind)
                {
                    case "magic": server.Say(new byte[16]); break;
                    case "cookie": server.Reply(request.Cookie + (1UL << 32)); break;
                    case "index": server.Reply(request.Cookie | 0xFFFF_FF00); break;
                    case "twice":
                        server.Reply(request.Cookie, data: new byte[512]);
                        server.Reply(request.Cookie, data: new byte[512]);
                        break;
                    case "cut": server.Reply(request.Cookie, data: new byte[100]); return;
                    case "shutdown": server.Reply(request.Cookie, error: 108); break;
                    case "close": return;
                    default: break;
                }

                server.AwaitEnd();
                return;
            }

            server.ServeMemory(memory);
        });
        Array.Fill(memory, (byte)7);
        using INvmeBackend backend = NvmeBackendUri.Parse(script.Uri + "&timeout=0.5&reconnect-delay=20").Open();
        byte[] data = new byte[512];

        Assert.Equal(Errno.None, backend.Read(0, data));
        Assert.Equal(Errno.None, backend.Read(512, data));
        Assert.Equal(7, data[511]);
        Assert.Equal(2, script.Connections);
    }

    [Theory]
    [InlineData(1U, Errno.EPERM)]
    [InlineData(5U, Errno.EIO)]
    [InlineData(28U, Errno.ENOSPC)]
    [InlineData(uint.MaxValue, Errno.EIO)]
    public void Error_of_the_server_is_the_error_of_the_request(uint wire, Errno expected)
    {
        using var script = new NbdScript((server, _) =>
        {
            server.Negotiate();
            while (true)
            {
                server.Reply(server.TakeRequest().Cookie, wire);
            }
        });
        using INvmeBackend backend = NvmeBackendUri.Parse(script.Uri).Open();

        Assert.Equal(expected, backend.Write(0, new byte[512]));
        Assert.Equal(expected, backend.Read(0, new byte[512]));
    }

    [Fact]
    public void Requests_without_an_answer_are_sent_again_in_their_order_and_answered_in_any()
    {
        const int Count = 8;
        var again = new List<ulong>();
        using var received = new SemaphoreSlim(0);
        using var script = new NbdScript((server, number) =>
        {
            server.Negotiate();
            var requests = new List<NbdScriptRequest>();
            for (int i = 0; i < Count; i++)
            {
                requests.Add(server.TakeRequest());
                received.Release();
            }

            if (number == 1)
            {
                again.AddRange(requests.Select(request => request.Offset));
                Assert.All(requests, request => Assert.Equal((byte)(request.Offset / 4096), request.Data[100]));
                requests.Reverse();
                requests.ForEach(request => server.Reply(request.Cookie));
                server.AwaitEnd();
            }
        });
        using INvmeBackend backend = NvmeBackendUri.Parse(script.Uri).Open();
        var results = new Errno[Count];
        var threads = new List<Thread>();
        for (int i = 0; i < Count; i++)
        {
            // Each begins after the one before has been received.
            int place = (i * 5) % Count;
            byte[] data = new byte[4096];
            Array.Fill(data, (byte)place);
            var thread = new Thread(() => results[place] = backend.Write((ulong)place * 4096, data));
            thread.Start();
            threads.Add(thread);
            Assert.True(received.Wait(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken), $"request {i} does not arrive while {i} others wait");
        }

        Assert.All(threads, thread => Assert.True(thread.Join(TimeSpan.FromSeconds(10)), "a request does not end"));
        Assert.All(results, result => Assert.Equal(Errno.None, result));
        Assert.Equal([.. Enumerable.Range(0, Count).Select(i => (ulong)(i * 5 % Count) * 4096)], again);
    }

    [Theory]
    [InlineData("nothing written", Errno.None)]
    [InlineData("flushed", Errno.None)]
    [InlineData("not answered", Errno.None)]
    [InlineData("acknowledged", Errno.EIO)]
    [InlineData("acknowledged after the flush", Errno.EIO)]
    [InlineData("flush under way", Errno.EIO)]
    public void Flush_fails_for_good_when_acknowledged_writes_may_be_lost(string kind, Errno expected)
    {
        using var script = new NbdScript((server, number) =>
        {
            server.Negotiate();
            while (true)
            {
                NbdScriptRequest request = server.TakeRequest();
                if (number == 0 && (request.Command == 0 || (kind == "not answered" && request.Command == 1) || (kind == "flush under way" && request.Command == 3)))
                {
                    // The connection is lost.
                    return;
                }

                server.Reply(request.Cookie, data: request.Command == 0 ? new byte[request.Length] : null);
            }
        });
        using INvmeBackend backend = NvmeBackendUri.Parse(script.Uri).Open();
        byte[] block = new byte[512];
        if (kind != "nothing written")
        {
            Assert.Equal(Errno.None, backend.Write(0, block));
        }

        if (kind is "flushed" or "acknowledged after the flush")
        {
            Assert.Equal(Errno.None, backend.Flush());
        }

        if (kind == "acknowledged after the flush")
        {
            Assert.Equal(Errno.None, backend.Write(0, block));
        }

        if (kind != "flush under way")
        {
            // In the first connection reads are not answered.
            Assert.Equal(Errno.None, backend.Read(0, block));
        }

        Assert.Equal(expected, backend.Flush());
        Assert.Equal(Errno.None, backend.Write(0, block));
        Assert.Equal(expected, backend.Flush());
        Assert.Equal(2, script.Connections);
    }

    [Fact]
    public async Task Lost_server_is_a_namespace_that_is_not_ready_until_it_is_back()
    {
        using var isBack = new ManualResetEventSlim();
        byte[] memory = new byte[1 << 20];
        using var script = new NbdScript((server, number) =>
        {
            if (number == 0)
            {
                server.Negotiate();
                server.TakeRequest();
            }
            else if (isBack.IsSet)
            {
                server.Negotiate();
                server.ServeMemory(memory);
            }
        });
        await using var rig = new NvmeRig(NvmeOptions.Parse([$"backend={script.Uri}{Impatient}"]));
        RawQueue queue = rig.CreateQueue(1);
        long began = Environment.TickCount64;
        Assert.Equal(0x82, queue.Execute(rig.Transfer(0x02, 0, 8)).Status);
        long waited = Environment.TickCount64 - began;
        began = Environment.TickCount64;
        RawCompletion write = queue.Execute(rig.Transfer(0x01, 0, 8));
        RawCompletion flush = queue.Execute(new RawCommand(0x00, nsid: 1));
        long second = Environment.TickCount64 - began;

        Assert.InRange(waited, 900, 5000);
        Assert.InRange(second, 0, 500);
        Assert.Equal((0x82, 0x82), (write.Status, flush.Status));
        Assert.Equal(0, write.StatusField >> 15);
        isBack.Set();
        NvmeRig.WaitFor(() => queue.Execute(rig.Transfer(0x01, 0, 8)).Status == 0, "the server is back and not found");
        Assert.Equal(0, queue.Execute(new RawCommand(0x00, nsid: 1)).Status);
    }

    [Fact]
    public void Server_that_takes_connections_and_answers_nothing_is_given_up()
    {
        using var script = new NbdScript((server, _) =>
        {
            server.Negotiate();
            server.AwaitEnd();
        });
        using INvmeBackend backend = NvmeBackendUri.Parse(script.Uri + Impatient).Open();
        long began = Environment.TickCount64;

        Assert.Equal(Errno.ETIMEDOUT, backend.Read(0, new byte[512]));
        Assert.InRange(Environment.TickCount64 - began, 1000, 6000);
    }

    [Fact]
    public void Another_image_in_the_place_of_the_one_that_was_lost_is_not_taken()
    {
        using var script = new NbdScript((server, number) =>
        {
            server.Negotiate(length: number == 0 ? 1UL << 20 : 2UL << 20);
            if (number == 0)
            {
                server.TakeRequest();
                return;
            }

            server.AwaitEnd();
        });
        using INvmeBackend backend = NvmeBackendUri.Parse(script.Uri + Impatient).Open();

        Assert.Equal(Errno.ENOTCONN, backend.Read(0, new byte[512]));
    }

    [Fact]
    public void Payload_that_drips_ends_at_the_timeout()
    {
        using var script = new NbdScript((server, number) =>
        {
            server.Negotiate();
            NbdScriptRequest request = server.TakeRequest();
            if (number == 0)
            {
                server.Reply(request.Cookie);
                for (int i = 0; i < 200; i++)
                {
                    server.Say([1]);
                    Thread.Sleep(20);
                }
            }

            server.Reply(request.Cookie, data: new byte[request.Length]);
            server.AwaitEnd();
        });
        using INvmeBackend backend = NvmeBackendUri.Parse(script.Uri + "&timeout=0.5&reconnect-delay=10").Open();
        long began = Environment.TickCount64;

        Assert.Equal(Errno.None, backend.Read(0, new byte[4096]));
        Assert.InRange(Environment.TickCount64 - began, 400, 3000);
    }

    [Fact]
    public void Closing_does_not_wait_for_a_server_that_is_silent()
    {
        using var script = new NbdScript((server, number) =>
        {
            server.Negotiate();
            server.TakeRequest();
            Thread.Sleep(500);
        });
        INvmeBackend backend = NvmeBackendUri.Parse(script.Uri).Open();
        Errno result = Errno.None;
        var caller = new Thread(() => result = backend.Read(0, new byte[512]));
        caller.Start();
        Thread.Sleep(100);
        long began = Environment.TickCount64;
        backend.Dispose();

        Assert.InRange(Environment.TickCount64 - began, 0, 3000);
        Assert.True(caller.Join(TimeSpan.FromSeconds(5)), "the caller waits for ever");
        Assert.Equal(Errno.ENOTCONN, result);
    }

    [Fact]
    public void Requests_allocate_nothing_in_steady_state()
    {
        byte[] memory = new byte[1 << 20];
        using var script = new NbdScript((server, _) =>
        {
            server.Negotiate(flags: NbdScript.Cached | 64);
            server.ServeMemory(memory);
        });
        using INvmeBackend backend = NvmeBackendUri.Parse(script.Uri).Open();
        byte[] data = new byte[4096];
        bool Round() => backend.Write(4096, data) == Errno.None && backend.Read(4096, data) == Errno.None && backend.Flush() == Errno.None && backend.Clear(0, 8192) == Errno.None;
        bool succeeded = true;

        // The least of several goes: what the runtime allocates once, as for a lock that is waited for, may come at any time.
        long allocated = Enumerable.Range(0, 10).Min(go => AllocationMeter.Measure(() => succeeded &= Round(), iterations: 50, warmup: 20));
        Assert.True(succeeded);
        Assert.Equal(0, allocated);
    }

    [Fact]
    public void Random_answers_end_in_time_and_leave_a_client_that_closes()
    {
        for (int seed = 0; seed < 15; seed++)
        {
            var random = new Random(seed);
            using var script = new NbdScript((server, _) =>
            {
                if (random.Next(4) != 0)
                {
                    server.Negotiate();
                }

                byte[] noise = new byte[random.Next(1, 4000)];
                random.NextBytes(noise);
                NbdScriptRequest? request = random.Next(2) == 0 ? null : server.TakeRequest();
                if (request is not null && random.Next(2) == 0)
                {
                    server.Reply(request.Cookie, random.Next(2) == 0 ? 0 : (uint)random.Next(), noise);
                }
                else
                {
                    server.Say(noise);
                }
            });
            try
            {
                using INvmeBackend backend = NvmeBackendUri.Parse(script.Uri + "&timeout=0.3&reconnect-delay=0.3").Open();
                byte[] data = new byte[random.Next(1, 20_000)];
                long began = Environment.TickCount64;
                _ = backend.Read(0, data);
                _ = backend.Write(0, data);
                _ = backend.Flush();
                Assert.InRange(Environment.TickCount64 - began, 0, 8000);
            }
            catch (IOException)
            {
                // The first negotiation was noise.
            }
        }
    }
}
