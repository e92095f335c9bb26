namespace Vfio.Run;

/// <summary>The numbers of the x86-64 system calls that the filter knows.</summary>
internal static class SystemCall
{
    public const int Read = 0;
    public const int Write = 1;
    public const int Open = 2;
    public const int Close = 3;
    public const int Stat = 4;
    public const int FStat = 5;
    public const int LStat = 6;
    public const int Seek = 8;
    public const int Map = 9;
    public const int Ioctl = 16;
    public const int ReadAt = 17;
    public const int WriteAt = 18;
    public const int ReadVector = 19;
    public const int WriteVector = 20;
    public const int Access = 21;
    public const int Duplicate = 32;
    public const int Duplicate2 = 33;
    public const int Execute = 59;
    public const int Fcntl = 72;
    public const int Truncate = 77;
    public const int ChangeDirectory = 80;
    public const int Create = 85;
    public const int ReadLink = 89;
    public const int OpenAt = 257;
    public const int StatAt = 262;
    public const int ReadLinkAt = 267;
    public const int AccessAt = 269;
    public const int Allocate = 285;
    public const int Duplicate3 = 292;
    public const int ReadVectorAt = 295;
    public const int WriteVectorAt = 296;
    public const int ExecuteAt = 322;
    public const int ReadVectorAt2 = 327;
    public const int WriteVectorAt2 = 328;
    public const int StatX = 332;
    public const int RingSetup = 425;
    public const int CloseRange = 436;
    public const int OpenAt2 = 437;
    public const int AccessAt2 = 439;
}
