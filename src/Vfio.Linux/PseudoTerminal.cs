using System.Text;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>
/// A pseudo-terminal in raw mode: what is written to <see cref="Master"/> is read from the terminal at <see cref="SlavePath"/> byte by byte, and the
/// other way round. The slave side is held open, so that the master does not see a hang-up between two users of it.
/// </summary>
public sealed class PseudoTerminal : IDisposable
{
    private readonly FileDescriptor _slave;

    /// <summary>Makes a new pair.</summary>
    /// <exception cref="LinuxException">There is no devpts here, or no terminal left.</exception>
    public PseudoTerminal()
    {
        int fd = Interop.OpenPseudoTerminal(Interop.OpenReadWrite | Interop.OpenNoControllingTerminal | Interop.OpenCloseOnExec);
        if (fd < 0)
        {
            throw new LinuxException(Interop.LastError, "open a pseudo-terminal (/dev/ptmx)");
        }

        Master = new FileDescriptor(fd, ownsHandle: true);
        try
        {
            Interop.ToErrno(Interop.GrantPseudoTerminal(Master)).ThrowIfError("grant access to a pseudo-terminal");
            Interop.ToErrno(Interop.UnlockPseudoTerminal(Master)).ThrowIfError("unlock a pseudo-terminal");
            SlavePath = GetSlavePath(Master);
            FileDescriptor.TryOpen(SlavePath, OpenMode.ReadWrite | OpenMode.NoControllingTerminal, out FileDescriptor? slave)
                .ThrowIfError($"open the terminal {SlavePath}");
            _slave = slave!;
            try
            {
                SetRaw(_slave);
            }
            catch
            {
                _slave.Dispose();
                throw;
            }
        }
        catch
        {
            Master.Dispose();
            throw;
        }
    }

    /// <summary>Our side; blocking, unless made otherwise with <see cref="FileDescriptor.TrySetNonBlocking"/>.</summary>
    public FileDescriptor Master { get; }

    /// <summary>The path that a terminal program opens, as <c>/dev/pts/3</c>.</summary>
    public string SlavePath { get; }

    /// <summary>Closes both sides; whoever has the slave open sees a hang-up. Idempotent.</summary>
    public void Dispose()
    {
        _slave.Dispose();
        Master.Dispose();
    }

    private static unsafe string GetSlavePath(FileDescriptor master)
    {
        const int Size = 128;
        byte* name = stackalloc byte[Size];

        // SAFETY: the size is passed along; the call terminates the name. It returns the error number instead of setting errno.
        ((Errno)Interop.GetSlaveName(master, name, Size)).ThrowIfError("get the name of a pseudo-terminal");
        return Encoding.UTF8.GetString(System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name));
    }

    private static unsafe void SetRaw(FileDescriptor terminal)
    {
        byte* termios = stackalloc byte[Interop.TermiosSize];

        // SAFETY: larger than struct termios.
        Interop.ToErrno(Interop.GetTerminalAttributes(terminal, termios)).ThrowIfError("read the modes of a terminal");
        Interop.MakeRaw(termios);
        Interop.ToErrno(Interop.SetTerminalAttributes(terminal, Interop.TerminalSetNow, termios)).ThrowIfError("make a terminal raw");
    }
}
