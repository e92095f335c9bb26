using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;
using Vfio.Testing;
using Vfio.User.Tests.Devices;

namespace Vfio.Siege;

/// <summary>A client of the conformance device that does one thing for ever, until it is killed. It makes a file when it is at it.</summary>
internal static class DoomedClient
{
    private const string Twin = """{"capabilities":{"max_msg_fds":16,"twin_socket":{"supported":true}}}""";
    private const int Length = 1 << 20;
    private const uint Set = 1 << 17;
    private static bool s_ready;

    public static int Run(ClientAct act, string path, string sign)
    {
        while (act == ClientAct.Negotiation)
        {
            Negotiate(path);
            Ready(sign);
        }

        using RawVfioUserClient client = RawVfioUserClient.Connect(path);
        using VfioUserMessage version = client.Negotiate(act == ClientAct.TwinDma ? Twin : RawVfioUserClient.QemuCapabilities);
        using VfioUserPeer dma = act == ClientAct.TwinDma ? new VfioUserPeer(new UnixSocket(version.TakeDescriptor(0))) : client;
        using MemFd memory = new("siege", Length);
        for (uint round = 0; ; round++)
        {
            switch (act)
            {
                case ClientAct.Registers:
                    Registers(client);
                    break;
                case ClientAct.MappedDma when round == 0:
                    Check(client.MapDma(0, Length, memory.Descriptor));
                    break;
                case ClientAct.MappedDma:
                    StartDma(client, Length, round % 2 == 0 ? ControlBlock.ReadInWork : ControlBlock.WriteInWork);
                    break;
                case ClientAct.TwinDma or ClientAct.InBandDma when round == 0:
                    Check(client.MapDma(0, Length));
                    break;
                case ClientAct.TwinDma or ClientAct.InBandDma:
                    Serve(client, dma, round % 2 == 0 ? ControlBlock.ReadInWork : ControlBlock.WriteInWork);
                    break;
                case ClientAct.Maps:
                    Check(client.MapDma(round % 64 * Length, Length, memory.Descriptor));
                    Check(round >= 32 ? client.UnmapDma((round - 32) % 64 * Length, Length) : Errno.None);
                    break;
                case ClientAct.Interrupts:
                    Interrupts(client);
                    break;
                default:
                    Migrate(client);
                    break;
            }

            if (round > 2)
            {
                Ready(sign);
            }
        }
    }

    private static void Ready(string sign)
    {
        if (!s_ready)
        {
            s_ready = true;
            File.Create(sign).Dispose();
        }
    }

    private static void Negotiate(string path)
    {
        using RawVfioUserClient client = RawVfioUserClient.Connect(path);
        byte[] message = VfioUserPeer.Compose(1, VfioUserCommand.Version, VfioUserFlags.Command, RawVfioUserClient.VersionPayload(0, 2, Twin));
        for (int at = 0; at < message.Length; at += 13)
        {
            if (client.SendBytes(message.AsSpan(at, Math.Min(13, message.Length - at))) != Errno.None)
            {
                // The one before is still in its place.
                return;
            }
        }

        client.Receive()?.Dispose();
    }

    private static void Registers(RawVfioUserClient client)
    {
        const int Window = 32;
        ushort[] ids = new ushort[Window];
        for (int i = 0; i < Window; i++)
        {
            client.Send(VfioUserCommand.RegionWrite, VfioUserFlags.NoReply, RawVfioUserClient.AccessPayload(0, (ulong)i * 4, new byte[4]));
            vfio_user_region_access access = new() { offset = (ulong)i * 4, count = 4 };
            ids[i] = client.Send(VfioUserCommand.RegionRead, MemoryMarshal.AsBytes(new ReadOnlySpan<vfio_user_region_access>(in access)));
        }

        foreach (ushort id in ids)
        {
            client.ReceiveReply(id, VfioUserCommand.RegionRead).Dispose();
        }
    }

    private static void StartDma(RawVfioUserClient client, int length, uint command)
    {
        Check(client.WriteRegion(0, ControlBlock.DmaAddress, new byte[8]));
        Check(client.WriteRegion(0, ControlBlock.DmaLength, BitConverter.GetBytes(length)));
        Check(client.WriteRegion(0, ControlBlock.DmaCommand, BitConverter.GetBytes(command)));
    }

    /// <summary>Answers each request of one transfer of four pieces.</summary>
    private static void Serve(RawVfioUserClient client, VfioUserPeer dma, uint command)
    {
        const int Pieces = 4;
        StartDma(client, Length, command);
        int left = Length;
        while (left > 0)
        {
            using VfioUserMessage request = dma.ReceiveMessage();
            vfio_user_dma_access access = request.Read<vfio_user_dma_access>();
            byte[] reply = new byte[16 + (request.Command == VfioUserCommand.DmaRead ? (int)access.count : 0)];
            MemoryMarshal.Write(reply, in access);
            for (int i = 0; i < Pieces; i++)
            {
                // In pieces, so that death comes in the middle of one as well.
                byte[] message = VfioUserPeer.Compose(request.Id, request.Command, VfioUserFlags.Reply, reply);
                int piece = message.Length / Pieces;
                Check(dma.SendBytes(message.AsSpan(i * piece, i == Pieces - 1 ? message.Length - (i * piece) : piece)));
            }

            left -= (int)access.count;
        }
    }

    private static void Interrupts(RawVfioUserClient client)
    {
        const uint Msix = 2;
        using EventFd eventFd = new();
        FileDescriptor[] all = [.. Enumerable.Repeat(eventFd.Descriptor, 16)];
        Check(client.SetIrqs(Msix, IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger, 0, 16, default, all));
        Check(client.SetIrqs(Msix, IrqSetFlags.DataNone | IrqSetFlags.ActionTrigger, 0, 16));
        Check(client.SetIrqs(Msix, IrqSetFlags.DataNone | IrqSetFlags.ActionTrigger, 0, 0));
    }

    private static void Migrate(RawVfioUserClient client)
    {
        const int Piece = 4096;
        SetState(client, MigrationState.StopCopy);
        int size;
        do
        {
            using VfioUserMessage data = client.Request(VfioUserCommand.MigrationDataRead, new vfio_user_mig_data { argsz = 8 + Piece, size = Piece });
            Check(data.Error);
            size = (int)data.Read<vfio_user_mig_data>().size;
        }
        while (size == Piece);
        SetState(client, MigrationState.Resuming);
        byte[] write = new byte[8 + Piece];
        MemoryMarshal.Write(write, new vfio_user_mig_data { argsz = 8 + Piece, size = Piece });
        for (int i = 0; i < 4; i++)
        {
            using VfioUserMessage reply = client.Request(VfioUserCommand.MigrationDataWrite, write);
            Check(reply.Error);
        }

        SetState(client, MigrationState.Running);
    }

    private static void SetState(RawVfioUserClient client, MigrationState state)
    {
        byte[] payload = new byte[16];
        MemoryMarshal.Write(payload, new vfio_device_feature { argsz = 16, flags = 2 | Set });
        MemoryMarshal.Write(payload.AsSpan(8), new vfio_device_feature_mig_state { device_state = (uint)state, data_fd = -1 });
        using VfioUserMessage reply = client.Request(VfioUserCommand.DeviceFeature, payload);
        Check(reply.Error);
    }

    private static void Check(Errno error) => VfioException.ThrowIfError(error, "play the client");
}
