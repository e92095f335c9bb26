using System.Runtime.InteropServices;

namespace Vfio.Tool.Tests;

/// <summary>Leaves a descriptor open in the programs that are started until this is disposed.</summary>
internal sealed partial class InheritedDescriptor : IDisposable
{
    private const int SetFlags = 2;
    private const int CloseOnExec = 1;
    private readonly int _number;

    private InheritedDescriptor(int number) => _number = number;

    public static InheritedDescriptor Keep(int number)
    {
        Assert.Equal(0, Fcntl(number, SetFlags, 0));
        return new InheritedDescriptor(number);
    }

    public void Dispose() => Assert.Equal(0, Fcntl(_number, SetFlags, CloseOnExec));

    [LibraryImport("libc", EntryPoint = "fcntl")]
    private static partial int Fcntl(int descriptor, int command, int argument);
}
