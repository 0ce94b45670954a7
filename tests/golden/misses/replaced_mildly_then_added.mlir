// Near miss `replaced_mildly_then_added` of `replaced_then_added`: −1e4 put in place does not swallow what is added to it: a row without keys is no plain mean.
// Left alone: unsupported_score
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[3,4,63,40],f32>, %arg1: !torch.vtensor<[3,4,63,40],f32>, %arg2: !torch.vtensor<[3,63],si64>, %arg3: !torch.vtensor<[3,4,63,40],f32>) -> !torch.vtensor<[3,4,63,40],f32> {
    %0 = torch.operator "torch.aten.mT"(%arg1) : (!torch.vtensor<[3,4,63,40],f32>) -> !torch.vtensor<[3,4,40,63],f32> 
    %1 = torch.aten.matmul %arg0, %0 : !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,40,63],f32> -> !torch.vtensor<[3,4,63,63],f32>
    %int63 = torch.constant.int 63
    %2 = torch.prim.ListConstruct %int63, %int63 : (!torch.int, !torch.int) -> !torch.list<int>
    %int11 = torch.constant.int 11
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %false = torch.constant.bool false
    %3 = torch.aten.ones %2, %int11, %none, %cpu, %false : !torch.list<int>, !torch.int, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63,63],i1>
    %int0 = torch.constant.int 0
    %4 = torch.aten.triu %3, %int0 : !torch.vtensor<[63,63],i1>, !torch.int -> !torch.vtensor<[63,63],i1>
    %float-1.000000e04 = torch.constant.float -1.000000e+04
    %5 = torch.aten.masked_fill.Scalar %1, %4, %float-1.000000e04 : !torch.vtensor<[3,4,63,63],f32>, !torch.vtensor<[63,63],i1>, !torch.float -> !torch.vtensor<[3,4,63,63],f32>
    %6 = torch.aten.to.dtype %arg2, %int11, %false, %false, %none : !torch.vtensor<[3,63],si64>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,63],i1>
    %int1 = torch.constant.int 1
    %7 = torch.aten.unsqueeze %6, %int1 : !torch.vtensor<[3,63],i1>, !torch.int -> !torch.vtensor<[3,1,63],i1>
    %int2 = torch.constant.int 2
    %8 = torch.aten.unsqueeze %7, %int2 : !torch.vtensor<[3,1,63],i1>, !torch.int -> !torch.vtensor<[3,1,1,63],i1>
    %int6 = torch.constant.int 6
    %9 = torch.aten.to.dtype %8, %int6, %false, %false, %none : !torch.vtensor<[3,1,1,63],i1>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,1,1,63],f32>
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %10 = torch.aten.rsub.Scalar %9, %float1.000000e00, %int1 : !torch.vtensor<[3,1,1,63],f32>, !torch.float, !torch.int -> !torch.vtensor<[3,1,1,63],f32>
    %float-1.000000e30 = torch.constant.float -1.000000e+30
    %11 = torch.aten.mul.Scalar %10, %float-1.000000e30 : !torch.vtensor<[3,1,1,63],f32>, !torch.float -> !torch.vtensor<[3,1,1,63],f32>
    %12 = torch.aten.add.Tensor %5, %11, %int1 : !torch.vtensor<[3,4,63,63],f32>, !torch.vtensor<[3,1,1,63],f32>, !torch.int -> !torch.vtensor<[3,4,63,63],f32>
    %int-1 = torch.constant.int -1
    %13 = torch.aten.softmax.int %12, %int-1, %none : !torch.vtensor<[3,4,63,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[3,4,63,63],f32>
    %14 = torch.aten.matmul %13, %arg3 : !torch.vtensor<[3,4,63,63],f32>, !torch.vtensor<[3,4,63,40],f32> -> !torch.vtensor<[3,4,63,40],f32>
    return %14 : !torch.vtensor<[3,4,63,40],f32>
  }
}
